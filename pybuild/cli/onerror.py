"""`pybuild build --on-error shell`: a shell in the step that failed, as it was at that moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse

    from pybuild.cli.progress import Mode
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.protocols import Session, SolveRequest, SolveResult


class Looked(Exception):
    """A step failed, and somebody had a look at it: all has been said. `code` is the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The flag `--on-error`."""
    parser.add_argument(
        "--on-error",
        metavar="shell[:COMMAND]",
        help="when a step fails, open a shell (or run COMMAND) in its file system as it is then, with its mounts and "
        "environment; the build ends with the step's exit code",
    )


def check(options: argparse.Namespace) -> None:
    """What can be wrong with the flag before anything was done.

    Raises:
        UsageError: it has another form, there is no terminal for a shell, or the engine has none.
    """
    if options.on_error is None:
        return
    from pybuild.cli.terminal import has_terminal

    command = _command(options.on_error)
    if not command and not has_terminal():
        raise flags.UsageError(
            "--on-error shell needs a terminal as standard input and output",
            hint="elsewhere give a command that looks around for you: --on-error 'shell:ls -l'",
        )
    if not flags.is_embedded(options):
        raise flags.UsageError(
            "--on-error shell works on the embedded engine, which has the files of steps", hint="use --engine embedded"
        )
    if options.graph:
        raise flags.UsageError("--on-error and --graph do not go together", hint="draw the graph of another build")


def _command(text: str) -> tuple[str, ...]:
    """The command of `shell:COMMAND`; () for the step's own shell."""
    from pybuild.errors import ArgumentError
    from pybuild.results.shells import parse_on_error

    try:
        return parse_on_error(text, "--on-error")
    except ArgumentError as error:
        raise flags.UsageError(error.message) from None


def build(
    options: argparse.Namespace,
    request: SolveRequest,
    engine: EmbeddedEngine | BuildKitEngine,
    session: Session,
    mode: Mode,
) -> SolveResult:
    """Build, with somebody to call when a step fails.

    Raises:
        Looked: a step failed, and its shell has ended.
    """
    import attrs

    from pybuild.cli.terminal import Terminal, has_terminal
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.errors import ExecError
    from pybuild.protocols import Shell

    assert isinstance(engine, EmbeddedEngine)
    interactive = has_terminal()
    shell = Shell(command=_command(options.on_error), terminal=os.environ.get("TERM", "xterm") if interactive else "")
    with Terminal(mode, interactive=interactive, reads=False) as terminal:
        try:
            return engine.run(attrs.evolve(request, on_error=shell), session, terminal.sink, talker=terminal)
        except ExecError as error:
            if terminal.error is None:
                raise  # there was no shell; a note of the error says why
            failed = error
    terminal.say(f"error[{failed.code}]: {failed.message}")
    raise Looked(failed.exit_code_of_step)
