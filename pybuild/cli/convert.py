"""`pybuild convert`: a Dockerfile as a Buildfile."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse

_NAME = "Buildfile.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("context", nargs="?", metavar="CONTEXT", default=".", help="the build context, a directory (default: .)")
    add("-f", "--file", metavar="FILE", help="the Dockerfile (default: CONTEXT/Dockerfile)")
    add("-o", "--output", metavar="FILE", help=f"write it there; - is standard output (default: CONTEXT/{_NAME})")
    add("--target", metavar="NAME", default="", help="the stage that is the default target (default: the last one)")
    add("--force", action="store_true", help="replace the file when it exists")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from pybuild.convert import buildfile_text

    context = Path(options.context)
    if not context.is_dir():
        raise flags.UsageError(
            f'the context "{options.context}" is no directory', hint="a Buildfile is written for a directory"
        )
    source = context / "Dockerfile" if options.file is None else Path(options.file)
    output = context / _NAME if options.output is None else Path(options.output)
    _check(output, force=options.force)
    text = buildfile_text(_read(source), file=str(source), target=options.target)
    if str(output) == "-":
        sys.stdout.write(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise flags.UsageError(f"cannot write {output}: {error.strerror}") from None
    print(f"wrote {output}", file=sys.stderr)
    _say_what_differs(context, source, output)
    return 0


def _check(output: Path, *, force: bool) -> None:
    if str(output) != "-" and output.exists() and not force:
        raise flags.UsageError(f"{output} exists", hint="add --force to replace it, or -o FILE to write elsewhere")


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise flags.UsageError(f"cannot read {source}: {error.strerror}", hint="name the file with --file") from None


def _say_what_differs(context: Path, source: Path, output: Path) -> None:
    """What the Buildfile takes from where it stands, and not from where the Dockerfile stood."""
    if output.resolve().parent != context.resolve():
        print(f"note: paths in it start at its directory, so it belongs into {context}", file=sys.stderr)
    own_ignore = source.with_name(f"{source.name}.dockerignore")
    if own_ignore.exists():
        print(f"note: {own_ignore} counts for the Dockerfile only; a Buildfile obeys .dockerignore", file=sys.stderr)
