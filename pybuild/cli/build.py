"""`pybuild build`: build a target and export the result."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.cli import attestflags, dockerflags, flags, onerror, passflags, program

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pybuild.cli.program import Program
    from pybuild.cli.progress import Mode
    from pybuild.protocols import OutputSpec
    from pybuild.results.result import BuildResult
    from pybuild.session.local import LocalSession

_PROGRESS = ("auto", "tty", "plain", "quiet", "rawjson")
_NAMED = ("docker", "image", "oci", "registry")
_WITHOUT_IMAGE = ("local", "tar")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    program.add_arguments(parser)
    flags.add_session(parser)
    flags.add_allow(parser)
    add = parser.add_argument
    add(
        "-o",
        "--output",
        metavar="DEST",
        action="append",
        default=[],
        help="type=TYPE,dest=FILE,... or a directory, or -",
    )
    add(
        "-t",
        "--tag",
        metavar="NAME",
        action="append",
        default=[],
        help="name of the image, for outputs that have names",
    )
    flags.add_caches(parser)
    attestflags.add_attests(parser)
    add("--no-cache", action="store_true", help="run every step")
    add("--no-cache-filter", metavar="NAME", action="append", default=[], help="run the steps of these targets again")
    add(
        "--progress",
        choices=_PROGRESS,
        default=os.environ.get("BUILDKIT_PROGRESS", "auto"),
        help="how to show progress (default: auto)",
    )
    add("-q", "--quiet", action="store_true", help="print the image id only")
    add("--iidfile", metavar="FILE", help="write the image id there")
    add("--metadata-file", metavar="FILE", help="write facts about the result there, as JSON")
    add(
        "--graph", metavar="FILE", help="draw the graph there, with what ran and how long (.svg, .png, .dot, .html ...)"
    )
    add("--push", action="store_true", help="push the image: the same as -o type=registry")
    add("--load", action="store_true", help="load the image into docker or podman: the same as -o type=docker")
    add("--check", action="store_true", help="only look the Dockerfile through: the same as --call check")
    add(
        "--call",
        metavar="QUESTION",
        help="ask instead of building: check, outline or targets of a Dockerfile; with ,format=json as JSON",
    )
    onerror.add_argument(parser)
    flags.add_engine(parser)
    passflags.add_passes(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    outputs = [flags.parse_output(text) for text in options.output]
    if options.push:
        outputs.append(flags.parse_output("type=registry"))
    if options.load:
        outputs.append(flags.parse_output("type=docker"))
    _check(options, outputs)
    onerror.check(options)
    if options.iidfile:
        _remove_stale(Path(options.iidfile))
    secrets = flags.secrets(options)
    if options.check or options.call:
        from pybuild.cli import call

        return call.run(options, secrets)
    with flags.session(options, secrets) as session:
        loaded = program.load(options, secrets)
        if not outputs and loaded.output is not None:
            outputs = [loaded.output]
        _check_image_id(options, outputs)
        _warn_about_names(options, outputs)
        try:
            result = _build(options, loaded, outputs, session)
        except onerror.Looked as looked:
            return looked.code
    _write_results(options, result)
    if not options.quiet:
        dockerflags.print_warnings(loaded.warnings)
    return 0


def _check_image_id(options: argparse.Namespace, outputs: Sequence[OutputSpec]) -> None:
    """An image id needs an image: buildx writes an empty file instead, which a make rule takes for done."""
    if options.iidfile and all(output.type in (*_WITHOUT_IMAGE, "cacheonly") for output in outputs):
        raise flags.UsageError(
            "--iidfile: the build has no image output", hint="add one, such as -o type=oci,dest=image.tar"
        )


def _check(options: argparse.Namespace, outputs: Sequence[OutputSpec]) -> None:
    """Everything about the flags that can be wrong before anything was done."""
    if options.iidfile and any(output.type in _WITHOUT_IMAGE for output in outputs):
        raise flags.UsageError("local and tar exporters are incompatible with image ID file")
    if getattr(options, "cgroup_parent", None) and flags.is_embedded(options):
        raise flags.UsageError(
            "--cgroup-parent: the embedded engine runs steps in control groups of its own", hint="use --engine docker"
        )
    to_stdout = [output.type for output in outputs if output.dest == "-"]
    if len(to_stdout) > 1:
        raise flags.UsageError("only one output can go to standard output")
    if to_stdout and sys.stdout.isatty():
        raise flags.UsageError(
            f"type={to_stdout[0]} is not written to a terminal", hint="add dest=FILE, or redirect the output"
        )
    if options.progress not in _PROGRESS:
        raise flags.UsageError(f'BUILDKIT_PROGRESS: there is no mode "{options.progress}"', hint=", ".join(_PROGRESS))
    for name in ("iidfile", "graph"):
        value = getattr(options, name)
        if value and not Path(value).parent.is_dir():
            raise flags.UsageError(f'--{name.replace("_", "-")}: the directory of "{value}" does not exist')
    if options.graph:
        _check_graph(Path(options.graph))
    flags.platforms_of(options)
    flags.allowed(options)
    flags.caches(options, "--cache-to")
    flags.caches(options, "--cache-from")
    attestflags.attests(options)
    passflags.passes_of(options)
    from pybuild.oci.reference import parse_reference

    for tag in options.tag:
        with flags.value_of("--tag"):
            parse_reference(tag)


def _check_graph(path: Path) -> None:
    """A drawing that cannot be made is better known before a long build than after it."""
    from pybuild.viz.drawing import format_of
    from pybuild.viz.render import FORMATS, require_graphviz

    with flags.value_of("--graph"):
        chosen = format_of(path)
    if chosen in FORMATS:
        require_graphviz(chosen)


def _remove_stale(path: Path) -> None:
    """A failed build leaves no id of an earlier one behind."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise flags.UsageError(f'--iidfile: cannot remove "{path}": {error.strerror}') from None


def _warn_about_names(options: argparse.Namespace, outputs: Sequence[OutputSpec]) -> None:
    if options.tag and not any(output.type in _NAMED for output in outputs):
        print(
            "warning: --tag names an image, and no output is one; add an output such as -o type=oci,dest=image.tar",
            file=sys.stderr,
        )


def _build(
    options: argparse.Namespace,
    loaded: Program,
    outputs: Sequence[OutputSpec],
    session: LocalSession,
) -> BuildResult:
    import attrs

    from pybuild._api import engine_for
    from pybuild._request import request_of
    from pybuild.cli.progress import display
    from pybuild.results.result import BuildResult

    named = [_with_names(output, options.tag) for output in outputs]
    request = request_of(
        loaded.heads,
        named,
        target=loaded.name,
        no_cache=loaded.no_cache,
        passes=passflags.passes_of(options),
        squash=options.squash,
        allow=flags.allowed(options),
        cache_to=flags.caches(options, "--cache-to"),
        cache_from=flags.caches(options, "--cache-from"),
        attests=attestflags.attests(options),
        invocation=loaded.invocation,
    )
    if loaded.epoch is not None:
        request = attrs.evolve(request, source_date_epoch=loaded.epoch)
    flags.say_engine(options)
    engine = engine_for(options.engine)
    mode: Mode = "quiet" if options.quiet else options.progress
    if options.on_error:
        return BuildResult.of(onerror.build(options, request, engine, session, mode))
    with display(mode) as sink:
        if not options.graph:
            return BuildResult.of(engine.run(request, session, sink))
        from pybuild.cli.failuregraph import Recorder

        recorder = Recorder(sink)
        try:
            return BuildResult.of(engine.run(request, session, recorder))
        except Exception as error:
            problem = recorder.draw(engine, request, session, Path(options.graph))
            if problem:
                error.add_note(problem)
            raise


def _with_names(output: OutputSpec, tags: Sequence[str]) -> OutputSpec:
    import attrs

    if not tags or output.type not in _NAMED or "name" in dict(output.attrs):
        return output
    from pybuild.oci.reference import parse_reference

    names = ",".join(str(parse_reference(tag)) for tag in tags)
    return attrs.evolve(output, attrs=(*output.attrs, ("name", names)))


def _write_results(options: argparse.Namespace, result: BuildResult) -> None:
    image_id = str(result.metadata.get("containerimage.config.digest") or result.digest)
    if options.iidfile:
        _write_at_once(Path(options.iidfile), image_id, "--iidfile")
    if options.metadata_file:
        _write_metadata(Path(options.metadata_file), result)
    if options.graph:
        result.drawing.save(Path(options.graph))
    quiet = options.quiet or options.progress == "quiet"
    to_stdout = any(export.path == "-" for export in result.exports)
    if image_id and not to_stdout:  # an archive on standard output must stay one
        print(image_id if quiet else result.digest)
    if not quiet and options.progress != "rawjson":
        _say_where(result)


def _say_where(result: BuildResult) -> None:
    if not result.exports:
        print(
            "no output: the result stays in the cache; write it with --output, such as -o type=oci,dest=image.tar",
            file=sys.stderr,
        )
    for export in result.exports:
        if export.path and export.path != "-":
            print(f"wrote {export.path} ({export.type})", file=sys.stderr)


def _write_metadata(path: Path, result: BuildResult) -> None:
    import json

    facts = {**result.metadata, "pybuild.build": _how_it_went(result)}
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
    _write_at_once(path, text + "\n", "--metadata-file")


def _write_at_once(path: Path, text: str, flag: str) -> None:
    """Write a file that is there as a whole or not at all. Raises ExportError, naming the `flag` that asked for it."""
    staging = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(path)
    except OSError as error:
        staging.unlink(missing_ok=True)
        from pybuild.errors import ExportError

        raise ExportError(
            f'{flag}: cannot write "{path}": {error.strerror}', hint="the build is done: its outputs are written"
        ) from error


def _how_it_went(result: BuildResult) -> dict[str, object]:
    """What `pybuild.build` holds in the metadata file: seconds, and the state, seconds and reason of every step."""
    steps = [
        {"name": step.name, "state": step.state, "duration": round(step.duration, 3), "reason": step.reason}
        for step in result.steps
    ]
    return {"duration": round(result.duration, 3), "steps": steps}
