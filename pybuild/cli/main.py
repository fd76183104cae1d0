"""The entry point: finds the command, runs it, and turns errors into exit codes.

Only the command that is asked for is imported, and nothing heavy before its arguments are known to be right; the list
of commands is printed without a parser, so that it appears at once.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import ModuleType

COMMANDS = {
    "build": "build a target and export the result",
    "targets": "list the targets of a Buildfile",
    "convert": "write a Dockerfile as a Buildfile that makes the same image",
    "dockerfile": "write a target as a Dockerfile, or say what has no equivalent",
    "graph": "draw the graph of a target",
    "explain": "list the steps of a target, and what the passes do to them",
    "llb": "write the definition of a target as BuildKit takes it, or read one",
    "shell": "open a shell in the file system of any step",
    "logs": "print what the steps of the last build printed",
    "plan": "say what a build would run, and why, without running anything",
    "verify": "build a target on several engines and compare what came out",
    "du": "list what the store holds",
    "cache": "list, export, import and remove the directories of cache mounts, by id",
    "prune": "remove what the store need not hold",
    "fsck": "find and repair what is damaged in the store",
    "version": "print versions of pybuild and of what it runs on",
}
#: What follows `--` is a program of somebody else's, with its arguments.
TAKING_PROGRAMS = ("shell",)
EXIT_USAGE, EXIT_INTERRUPTED = 2, 130  # of pybuild.errors, which the list of commands does without
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_ROOT_HELP = "the store's directory (default: $PYBUILD_ROOT, or the user's data folder)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; those of the process by default.

    Returns:
        The exit code, as listed in docs/reference/exit-codes.md.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else EXIT_USAGE
    if arguments[0] == "--version":
        from pybuild import __version__

        print(f"pybuild {__version__}")
        return 0
    if argv is None:  # nearly all that start-up makes stays: looking for garbage so often only takes time
        import gc

        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    command = _command_in(arguments)
    program: list[str] = []
    if command in TAKING_PROGRAMS and "--" in arguments:
        position = arguments.index("--")
        arguments, program = arguments[:position], arguments[position + 1 :]
    if command and command not in COMMANDS:
        return _usage_error(f'there is no command "{command}"', f"there are: {', '.join(COMMANDS)}")
    try:
        options, unknown = parser_for(command).parse_known_args(arguments)
        if unknown:
            name = f"pybuild {command}".rstrip()
            return _usage_error(f'{name} takes no argument "{unknown[0]}"', f"{name} --help lists what it takes")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    if not options.command:
        print(usage(), file=sys.stderr)
        return EXIT_USAGE
    options.program = program
    code = _run(options)
    if argv is None:  # the process ends here, and looking for garbage once more only takes time
        import gc

        gc.freeze()
    return code


def usage() -> str:
    """What `pybuild --help` prints."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: pybuild [--root DIR] COMMAND ...\n\n"
        "Build container images and other artifacts from Python.\n\n"
        f"commands:\n{commands}\n\n"
        "options:\n"
        f"  --root DIR  {_ROOT_HELP}\n"
        "  --version   print the version\n"
        "  -h, --help  print this\n\n"
        "`pybuild COMMAND --help` tells the options of a command."
    )


def parser_for(command: str) -> argparse.ArgumentParser:
    """The parser, complete for `command`; the others are only known by name."""
    import argparse

    parser = argparse.ArgumentParser(prog="pybuild", usage="pybuild [--root DIR] COMMAND ...", allow_abbrev=False)
    parser.add_argument("--root", metavar="DIR", help=_ROOT_HELP)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, text in COMMANDS.items():
        added = commands.add_parser(
            name, help=text, prog=f"pybuild {name}", description=text[0].upper() + text[1:] + ".", allow_abbrev=False
        )
        added.add_argument("--root", metavar="DIR", default=argparse.SUPPRESS, help=_ROOT_HELP)
        if name == command:
            _module(name).add_arguments(added)
    return parser


def _usage_error(message: str, hint: str) -> int:
    from pybuild.cli.diagnostics import report
    from pybuild.cli.flags import UsageError

    return report(UsageError(message, hint=hint))


def _module(command: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"pybuild.cli.{command}")


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

        os.environ["PYBUILD_ROOT"] = os.path.abspath(options.root)  # noqa: PTH100  # pathlib is not loaded here
    try:
        code: int = _module(options.command).run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        from pybuild.cli.diagnostics import report

        return report(error)
    return code
