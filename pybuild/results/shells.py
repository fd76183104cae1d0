"""Shells from Python: in a result, in any of its steps, and in a step that fails."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from pybuild.errors import ArgumentError, EngineUnavailable
from pybuild.protocols import ProgressSink, Shell

if TYPE_CHECKING:
    from pybuild.cli.progress import Mode
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.engine.threaded import Run
    from pybuild.results.result import Origin


def parse_on_error(text: str, name: str = "on_error") -> tuple[str, ...]:
    """The command of `shell:COMMAND`, split as a shell would; () for the step's own shell.

    Args:
        text: `shell`, or `shell:COMMAND`.
        name: what messages call it.

    Raises:
        ArgumentError: it has another form.

    Example:
        >>> parse_on_error("shell"), parse_on_error("shell:/bin/ls -l '/a b'")
        ((), ('/bin/ls', '-l', '/a b'))
    """
    kind, colon, command = text.partition(":")
    if kind != "shell" or (colon and not command.strip()):
        raise ArgumentError(f'{name} "{text}": write shell, or shell:COMMAND')
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise ArgumentError(f'{name} "{text}": {error}') from None


def on_error_shell(text: str, engine: EmbeddedEngine | BuildKitEngine) -> Shell:
    """What `on_error` asks for.

    Raises:
        ArgumentError: it has another form.
        EngineUnavailable: it needs a terminal, and there is none; or the engine has no files of steps.
    """
    shell = _on_terminal(Shell(command=parse_on_error(text)))
    _files_of(engine, 'on_error="shell"')
    if not shell.command and not shell.terminal:
        raise EngineUnavailable(
            'on_error="shell" needs a terminal as standard input and output',
            hint='elsewhere, as in a notebook, give a command that looks around: on_error="shell:ls -l"',
        )
    return shell


@contextmanager
def running_with(
    engine: EmbeddedEngine | BuildKitEngine, shell: Shell, progress: Mode
) -> Generator[tuple[ProgressSink, Run]]:
    """What shows progress, and an engine's `run`, with somebody for the shell to talk to when a step fails."""
    from pybuild.cli.terminal import Terminal

    on_terminal = bool(shell.terminal)
    # Without a terminal nobody acts before the error is raised, which tells everything.
    with Terminal(progress, interactive=on_terminal, reads=False, reports=on_terminal) as terminal:
        yield terminal.sink, functools.partial(_files_of(engine, "on_error").run, talker=terminal)


def open_shell(origin: Origin, shell: Shell, *, step: str = "", before: bool = False) -> int:
    """A shell in what was built, or in a step of it; returns its exit code.

    Raises:
        ArgumentError: nobody knows what was built, or the directory is not absolute.
        EngineUnavailable: there is no terminal, or the engine has no files.
    """
    from pybuild._api import session_for
    from pybuild._request import request_of
    from pybuild.cli.terminal import Terminal

    head = origin.head("shell()")
    if shell.workdir and not shell.workdir.startswith("/"):
        raise ArgumentError(f'shell(): workdir must be absolute, got "{shell.workdir}"')
    assert origin.engine is not None
    engine = _files_of(origin.engine, "shell()")
    shell = _on_terminal(shell)
    if not shell.command and not shell.terminal:
        raise EngineUnavailable(
            "shell() needs a terminal as standard input and output",
            hint='elsewhere, as in a notebook: run("COMMAND"), or shell(STEP, command="COMMAND")',
        )
    request = request_of([head], allow=origin.allow)
    session = origin.session or session_for()
    with Terminal("quiet", interactive=bool(shell.terminal), reads=bool(shell.terminal)) as terminal:
        engine.shell(request, session, terminal.sink, terminal, shell, step=step, before=before)
    return terminal.code or 0


def _on_terminal(shell: Shell) -> Shell:
    from pybuild.cli.terminal import has_terminal

    return attrs.evolve(shell, terminal=os.environ.get("TERM", "xterm") if has_terminal() else "")


def _files_of(engine: EmbeddedEngine | BuildKitEngine, what: str) -> EmbeddedEngine:
    from pybuild.engine.embedded import EmbeddedEngine

    if not isinstance(engine, EmbeddedEngine):
        raise EngineUnavailable(
            f'{what}: the engine "{engine.name}" keeps the files of steps to itself',
            hint="build with the embedded engine",
        )
    return engine
