"""Shells in the worker: in a step that failed, and in any step that somebody wants to look at."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.engine.channel import Channel, ShellClosed, ShellOpened, ShellPrinted, Start
from pybuild.engine.execution import execution
from pybuild.engine.localbuild import Build
from pybuild.engine.viewpoint import viewpoint
from pybuild.errors import ExecError, PybuildError
from pybuild.protocols import Console, LogStream, ProgressSink, Session, Shell
from pybuild.session.masking import MaskedOutput
from pybuild.solver.report import Reporter, title
from pybuild.solver.runner import check_platform
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.solver.runner import StepRunner
    from pybuild.solver.scene import Scene


class ShellHost:
    """Runs shells for the client at the other end of a channel.

    Args:
        channel: the channel.
        console: what they read, and the terminal if there is one.
    """

    def __init__(self, channel: Channel, console: Console) -> None:
        self._channel = channel
        self._console = console

    def resized(self) -> None:
        """The terminal has another size."""
        if self._console.send_signal is not None:
            self._console.send_signal(signal.SIGWINCH)

    async def at_failure(self, runner: StepRunner, shell: Shell | None, error: ExecError) -> None:
        """A shell in the step that failed; when there can be none, a note of the error says why.

        Args:
            runner: has kept the step as it was.
            shell: what is wanted, if anything.
            error: how the step failed.
        """
        scene = next((scene for scene in runner.failed if scene.vertex.digest == error.vertex), None)
        if shell is None or scene is None:
            return
        try:
            await self.run(runner, scene, shell, error)
        except PybuildError as problem:
            error.add_note(f"no shell was opened: {problem.message}" + (f" ({problem.hint})" if problem.hint else ""))

    async def run(self, runner: StepRunner, scene: Scene, shell: Shell, error: ExecError | None = None) -> None:
        """Run a shell in an open scene, and tell the client."""
        process = await asyncio.to_thread(scene.shell, shell)
        self._channel.send(ShellOpened(name=title(scene.vertex), command=process.args, error=error))
        output = _Output(self._channel)
        output.mask(scene.mounts.secrets.values())
        code = 1
        try:
            status = await scene.run(process, runner.executor, output, self._console)
            code = status.code
        finally:
            output.finish()
            self._channel.send(ShellClosed(code=code))


class _Output(MaskedOutput):
    """What a shell without a terminal prints, with the step's secrets masked as in its log."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        super().__init__()

    def emit(self, stream: LogStream, data: bytes) -> None:
        """See MaskedOutput."""
        self._channel.send(ShellPrinted(stream=stream, data=data))


async def look_in_worker(start: Start, session: Session, sink: ProgressSink, host: ShellHost) -> None:
    """Run what a step needs, and a shell in its file system."""
    assert start.look is not None
    store = Store.open(Path(start.root))
    with store.leases.lease() as lease:
        build = await asyncio.to_thread(Build, store, start.request, session, start.pins)
        view = viewpoint(build, start.look.step, before=start.look.before)
        build.narrow(view.inputs)
        await asyncio.to_thread(build.plan, learn=True)
        reporter = Reporter(build.job, sink)
        async with execution(build, lease, session, sink, reporter, start) as (scheduler, runner):
            refs = await scheduler.run()
            await asyncio.to_thread(check_platform, view.constraints.platform)
            scene = runner.scene(view, refs, discard=True)
            try:
                await asyncio.to_thread(scene.open)
                await host.run(runner, scene, start.look.shell)
            finally:
                await asyncio.shield(asyncio.to_thread(scene.discard))
