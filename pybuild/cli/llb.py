"""`pybuild llb`: a target's definition in BuildKit's wire form, and definitions read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.cli import flags, passflags, program

if TYPE_CHECKING:
    import argparse

    from pybuild.engine.wire import WireForm
    from pybuild.llb.definition import Definition
    from pybuild.llb.vertex import Vertex
    from pybuild.platform import Platform
    from pybuild.protocols import Session, SourceMetadata
    from pybuild.solver.sources import SourceSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    program.add_arguments(parser)
    flags.add_session(parser)
    passflags.add_passes(parser)
    add = parser.add_argument
    add("-o", "--output", metavar="FILE", default="-", help="write it there (default: -, standard output)")
    add("--decode", metavar="FILE", help="print the definition in FILE (-: standard input) instead of a target's")
    add(
        "--format",
        choices=("binary", "text", "json"),
        help="binary, as `buildctl build` reads it (default), or field by field (default of --decode: text)",
    )
    add("-q", "--quiet", action="store_true", help="do not say which directories the definition reads")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    chosen = options.format or ("text" if options.decode else "binary")
    if chosen == "binary" and options.output == "-" and sys.stdout.isatty():
        raise flags.UsageError("a definition is not written to a terminal", hint="add -o FILE, or --format text")
    if options.decode:
        if options.name or options.target:
            raise flags.UsageError("--decode reads a file: leave the target out")
        definition = _read(options.decode)
    else:
        form = _form(options)
        if not options.quiet:
            _say_needs(form)
        definition = form.definition
    _write(options.output, _encoded(definition, chosen))
    return 0


def _form(options: argparse.Namespace) -> WireForm:
    from pybuild._request import request_of
    from pybuild.engine.wire import wire_form

    passes = passflags.passes_of(options)
    if len(flags.platforms_of(options)) > 1:
        raise flags.UsageError("a definition is for one platform", hint="write one for each")
    secrets = flags.secrets(options)
    with flags.session(options, secrets) as session:
        heads = program.load(options, secrets).heads[:1]
        request = request_of(heads, passes=passes, squash=options.squash)
        return wire_form(request, session, _LocalLookup(request.platform, session))


class _LocalLookup:
    """See protocols.MetadataResolver: looks images up from here. The store is opened when the first one is."""

    def __init__(self, platform: Platform, session: Session) -> None:
        self._platform, self._session = platform, session
        self._sources: SourceSet | None = None

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See protocols.MetadataResolver."""
        if self._sources is None:
            from pybuild.solver.sources import SourceSet

            self._sources = SourceSet(flags.open_store(), self._session, self._platform)
        return self._sources.resolve(vertex, platform)


def _say_needs(form: WireForm) -> None:
    """The flags with which buildctl offers what the definition reads."""
    import shlex

    needs = [f"--local {shlex.quote(f'{name}={path}')}" for name, path in sorted(form.directories.items())]
    needs += [f"--oci-layout {shlex.quote(f'{name}={path}')}" for name, path in sorted(form.layouts.items())]
    if needs:
        print(f"needs: buildctl build {' '.join(needs)}", file=sys.stderr)


def _read(path: str) -> Definition:
    from pybuild.errors import DefinitionError
    from pybuild.llb.definition import Definition

    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise flags.UsageError(f'cannot read "{path}": {error.strerror}') from None
    try:
        return Definition.from_bytes(data)
    except DefinitionError as error:
        raise DefinitionError(f"{path} is no definition: {error.message}") from None


def _encoded(definition: Definition, chosen: str) -> bytes:
    if chosen == "binary":
        return definition.to_bytes()
    from pybuild.llb import decoded

    if chosen == "text":
        return f"{decoded.as_text(definition)}\n".encode()
    import json

    return f"{json.dumps(decoded.as_json(definition), indent=2, ensure_ascii=False)}\n".encode()


def _write(path: str, data: bytes) -> None:
    if path == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise flags.UsageError(f'cannot write "{path}": {error.strerror}') from None
    print(f"wrote {path}", file=sys.stderr)
