"""A fake executor: counts calls, remembers what it was asked to run, and answers by script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from pybuild.protocols import BoundMount, Console, ExitStatus, ProcessIO, ProcessSpec


@attrs.frozen(kw_only=True)
class Scripted:
    """What a command does: prints, works for some time, maybe changes its root, and ends."""

    stdout: bytes = b""
    stderr: bytes = b""
    code: int = 0
    started: bool = True
    seconds: float = 0.0
    effect: Callable[[Path], None] | None = None


class FakeExecutor:
    """Runs nothing. Commands without a script succeed in silence."""

    name = "fake"

    def __init__(self) -> None:
        self.calls: list[ProcessSpec] = []
        self.mounts: list[tuple[BoundMount, ...]] = []
        self.running: set[str] = set()
        self._scripts: dict[tuple[str, ...], Scripted] = {}

    @property
    def exec_calls(self) -> int:
        """How many processes were asked for."""
        return len(self.calls)

    def script(self, args: Sequence[str], scripted: Scripted) -> None:
        """Say what `args` does from now on."""
        self._scripts[tuple(args)] = scripted

    async def run(
        self,
        container_id: str,
        rootfs: Path,
        mounts: Sequence[BoundMount],
        process: ProcessSpec,
        io: ProcessIO,
        console: Console | None = None,
    ) -> ExitStatus:
        assert container_id not in self.running, "a container id must be unique"
        self.calls.append(process)
        self.mounts.append(tuple(mounts))
        self.running.add(container_id)
        scripted = self._scripts.get(process.args, Scripted())
        try:
            if scripted.stdout:
                io.write("stdout", scripted.stdout)
            if scripted.stderr:
                io.write("stderr", scripted.stderr)
            if process.timeout_seconds and scripted.seconds > process.timeout_seconds:
                await asyncio.sleep(process.timeout_seconds)
                return ExitStatus(code=137, timed_out=True)
            await asyncio.sleep(scripted.seconds)
            if scripted.effect is not None:
                scripted.effect(rootfs)
        finally:
            self.running.discard(container_id)
        return ExitStatus(code=scripted.code, started=scripted.started)
