"""`pybuild shell`: a shell, or a command, in the file system of any step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.cli import flags, passflags, program

if TYPE_CHECKING:
    import argparse

_PROGRESS = ("auto", "tty", "plain", "quiet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.usage = "pybuild shell [TARGET[@STEP]] [OPTION ...] [-- COMMAND ARGUMENT ...]"
    parser.epilog = (
        "TARGET@STEP names a step of a target by its number, the start of its digest, its target, its line (:12) or a "
        "part of its name; without @STEP it is the target's result. The shell has the step's mounts, secrets, agents, "
        "environment, working directory and user. What it changes is thrown away, in cache mounts too."
    )
    program.add_arguments(parser)
    flags.add_session(parser)
    flags.add_allow(parser)
    add = parser.add_argument
    add("--step", metavar="STEP", default="", help="the same as @STEP; for contexts of Dockerfiles with an @")
    add("--before", action="store_true", help="the file system as the step finds it, not as it leaves it")
    add("-c", "--command", dest="script", metavar="TEXT", help="run this text by /bin/sh instead of a shell")
    add("-u", "--user", metavar="USER", default="", help="who runs it (default: the step's user)")
    add("-w", "--workdir", metavar="DIR", default="", help="where (default: the step's working directory)")
    add("--no-cache", action="store_true", help="run every step before it again")
    add(
        "--progress",
        choices=_PROGRESS,
        default=os.environ.get("BUILDKIT_PROGRESS", "auto"),
        help="how to show the progress of the steps before it (default: auto)",
    )
    flags.add_engine(parser)
    passflags.add_passes(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit code is that of the shell."""
    from pybuild._api import engine_for
    from pybuild._request import request_of
    from pybuild.cli.terminal import Terminal, has_terminal
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.errors import EngineUnavailable
    from pybuild.protocols import Shell

    command = _command(options)
    step = _split_step(options)
    if options.workdir and not options.workdir.startswith("/"):
        raise flags.UsageError(f'--workdir "{options.workdir}": write an absolute path')
    secrets = flags.secrets(options)
    with flags.session(options, secrets) as session:
        loaded = program.load(options, secrets)
        request = request_of(
            loaded.heads[:1],
            no_cache=loaded.no_cache,
            passes=passflags.passes_of(options),
            squash=options.squash,
            allow=flags.allowed(options),
        )
        engine = engine_for(options.engine)
        if not isinstance(engine, EmbeddedEngine):
            raise EngineUnavailable(
                f'the engine "{engine.name}" keeps the files of steps to itself', hint="use --engine embedded"
            )
        interactive = has_terminal()
        shell = Shell(
            command=command,
            terminal=os.environ.get("TERM", "xterm") if interactive else "",
            user=options.user,
            workdir=options.workdir,
        )
        with Terminal(options.progress, interactive=interactive, reads=True) as terminal:
            engine.shell(request, session, terminal.sink, terminal, shell, step=step, before=options.before)
    return terminal.code or 0


def _command(options: argparse.Namespace) -> tuple[str, ...]:
    if options.script is not None and options.program:
        raise flags.UsageError("a command is given twice: by --command and after --")
    return ("/bin/sh", "-c", options.script) if options.script is not None else tuple(options.program)


def _split_step(options: argparse.Namespace) -> str:
    """Take STEP from `TARGET@STEP`; an address with an @, such as git@host:path, is left as it is."""
    from pybuild.cli import dockerflags

    name, at, step = (options.name or "").partition("@")
    if at and dockerflags.is_dockerfile(options) and name and not Path(name).is_dir():
        return str(options.step)
    if not at:
        return str(options.step)
    if options.step:
        raise flags.UsageError(f'two steps are given: "@{step}" and --step "{options.step}"')
    options.name = name or None
    return step
