"""`pybuild dockerfile`: the Dockerfile that means the same as a target."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.cli import dockerflags, flags, program

if TYPE_CHECKING:
    import argparse

_NOT_ALL = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    program.add_arguments(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="write it there (default: -, standard output)"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command: exit code 1, and no file, where something has no equivalent."""
    from pybuild.convert.dockerfile import dockerfile_of

    if dockerflags.is_dockerfile(options):
        raise flags.UsageError("it is a Dockerfile already", hint="name a Buildfile with --file, or one of its targets")
    wanted = program.load(options)
    written = dockerfile_of(wanted.state.head, wanted.state.patch, wanted.name)
    if written.problems:
        print(f'target "{wanted.name}" has no equivalent Dockerfile:', file=sys.stderr)
        for problem in written.problems:
            print(f"  {problem.location or 'the image config'}: {problem.what}", file=sys.stderr)
        return _NOT_ALL
    if written.flags:
        import shlex

        print(f"build it with: {shlex.join(written.flags)}", file=sys.stderr)
    if options.output == "-":
        sys.stdout.write(written.text)
        return 0
    try:
        Path(options.output).write_text(written.text, encoding="utf-8")
    except OSError as error:
        raise flags.UsageError(f"cannot write {options.output}: {error.strerror}") from None
    print(f"wrote {options.output}", file=sys.stderr)
    return 0
