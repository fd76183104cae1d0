"""The entry point: finds the command, runs it, and turns errors into exit codes.

Only the command that is asked for is imported, and nothing heavy before its arguments are known to be right.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "build": "build a target and export the result",
    "targets": "list the targets of a Buildfile",
    "graph": "draw or explain the graph of a target",
    "plan": "say what a build would run, and why, without running anything",
    "du": "list what the store holds",
    "prune": "remove what the store need not hold",
    "version": "print versions of pybuild and of what it runs on",
}


def parser_for(command: str = "") -> argparse.ArgumentParser:
    """The parser, complete for `command`; the others are only listed."""
    parser = argparse.ArgumentParser(
        prog="pybuild",
        description="Build container images and other artifacts from Python.",
        epilog="`pybuild COMMAND --help` tells the options of a command.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--root", metavar="DIR", help="the store's directory (default: $PYBUILD_ROOT, or the user's data folder)"
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, text in COMMANDS.items():
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        added.add_argument("--root", metavar="DIR", default=argparse.SUPPRESS, help="the store's directory")
        if name == command:
            import_module(f"pybuild.cli.{name}").add_arguments(added)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; those of the process by default.

    Returns:
        The exit code, as listed in docs/reference/exit-codes.md.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = parser_for(_command_in(arguments))
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    if options.version:
        options.command = "version"
        options.format = "text"
    if not options.command:
        parser.print_help()
        return 2
    return _run(options)


def _command_in(arguments: Sequence[str]) -> str:
    """The first argument that is no option, nor the value of one."""
    rest = iter(arguments)
    for argument in rest:
        if argument == "--root":
            next(rest, None)
        elif not argument.startswith("-"):
            return argument
    return ""


def _run(options: argparse.Namespace) -> int:
    if options.root:
        import os

        os.environ["PYBUILD_ROOT"] = options.root
    try:
        code: int = import_module(f"pybuild.cli.{options.command}").run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        from pybuild.cli.diagnostics import report

        return report(error)
    return code
