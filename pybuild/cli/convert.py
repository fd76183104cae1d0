"""`pybuild convert`: a Dockerfile as a Buildfile."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.cli import dockerflags, flags

if TYPE_CHECKING:
    import argparse

    from pybuild.convert.around import Around
    from pybuild.frontend.dockerfile.frontend import DockerfileBuild
    from pybuild.frontend.dockerfile.inputs import Inputs

_NAME = "Buildfile.py"
_STDIN = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "context",
        nargs="?",
        metavar="CONTEXT",
        default=".",
        help="the build context: a directory, or the URL of a git repository, an archive or a Dockerfile (default: .)",
    )
    add("-f", "--file", metavar="FILE", help="the Dockerfile (default: CONTEXT/Dockerfile); - is standard input")
    add("-o", "--output", metavar="FILE", help=f"write it there; - is standard output (default: CONTEXT/{_NAME})")
    add("--target", metavar="NAME", default="", help="the stage that is the default target (default: the last one)")
    add("--force", action="store_true", help="replace the file when it exists")
    add("--no-lookup", action="store_true", help="look no base images up: what their ONBUILD says is not written out")
    flags.add_args(parser)
    dockerflags.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from pybuild.convert import buildfile_text
    from pybuild.frontend.dockerfile.inputs import is_remote, read_inputs

    if options.context == _STDIN:
        hint = "name a directory or a URL; -f - reads the Dockerfile from standard input"
        raise flags.UsageError("a Buildfile cannot name a context from standard input", hint=hint)
    remote = is_remote(options.context)
    context = Path() if remote else Path(options.context)
    if not context.is_dir():
        raise flags.UsageError(f'the context "{options.context}" is no directory', hint="give a directory, or a URL")
    output = context / _NAME if options.output is None else Path(options.output)
    to_stdout = str(output) == _STDIN
    _check(output, force=options.force)
    if not remote:
        _check_dockerfile(context, options.file)
    inputs = read_inputs(
        options.context,
        options.file,
        options=dockerflags.frontend_options(options),
        contexts=dockerflags.contexts(options),
    )
    build = _opened(inputs)
    around = _around(build, inputs, context if to_stdout else output.parent, lookups=not options.no_lookup)
    file = build.text.filename if remote or options.file == _STDIN else str(_dockerfile(context, options.file))
    text = buildfile_text(build.text.data, file=file, target=options.target, around=around)
    if to_stdout:
        sys.stdout.write(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise flags.UsageError(f"cannot write {output}: {error.strerror}") from None
    print(f"wrote {output}", file=sys.stderr)
    return 0


def _check(output: Path, *, force: bool) -> None:
    if str(output) != _STDIN and output.exists() and not force:
        raise flags.UsageError(f"{output} exists", hint="add --force to replace it, or -o FILE to write elsewhere")


def _dockerfile(context: Path, file: str | None) -> Path:
    return context / "Dockerfile" if file is None else Path(file)


def _check_dockerfile(context: Path, file: str | None) -> None:
    source = _dockerfile(context, file)
    if file == _STDIN or source.is_file() or (file is None and source.with_name("dockerfile").is_file()):
        return
    problem = "it is a directory" if source.is_dir() else "there is no such file"
    raise flags.UsageError(f"cannot read {source}: {problem}", hint="name the file with --file")


def _opened(inputs: Inputs) -> DockerfileBuild:
    from pybuild._api import embedded
    from pybuild.engine.dockerfiles import open_dockerfile

    return open_dockerfile(inputs, embedded())


def _around(build: DockerfileBuild, inputs: Inputs, home: Path, *, lookups: bool) -> Around:
    """The build, with its directories as they are seen from `home`, where the Buildfile will be."""
    from pybuild.convert.around import Around

    def seen(path: Path) -> str:
        return os.path.relpath(path.resolve(), home.resolve()).replace(os.sep, "/")

    def warn(text: str) -> None:
        print(f"warning: {text}", file=sys.stderr)

    return Around(
        build=build,
        directories={name: seen(path) for name, path in inputs.directories.items()},
        absolute={name: str(path.resolve()) for name, path in inputs.directories.items()},
        layouts={name: seen(path) for name, path in inputs.layouts.items()},
        ignore_file=_own_ignore_file(inputs),
        lookups=lookups,
        warn=warn,
    )


def _own_ignore_file(inputs: Inputs) -> str:
    """The ignore file of the Dockerfile alone, as it is seen from the build context; "" where there is none."""
    context, directory = inputs.directories.get("context"), inputs.directories.get("dockerfile")
    if context is None or directory is None:
        return ""
    path = directory / f"{inputs.options.get('filename', 'Dockerfile')}.dockerignore"
    return os.path.relpath(path.resolve(), context.resolve()).replace(os.sep, "/") if path.exists() else ""
