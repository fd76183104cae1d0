"""The file system of an exec step as its process sees it, open: where the step runs, or a shell looks around."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

from pybuild.errors import SolveError
from pybuild.llb.ops import ExecOp
from pybuild.llb.vertex import Vertex
from pybuild.protocols import Console, Executor, ExitStatus, ProcessIO, ProcessSpec, Ref, Session, Shell
from pybuild.solver.execmounts import ExecMounts
from pybuild.solver.execstep import process_of
from pybuild.solver.mountpoints import resolve_in
from pybuild.store.store import Store

SHELLS: Final = ("/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/ash", "/busybox/sh")
"""Where shells are, the most comfortable ones first."""


class Scene:
    """The mounts of one exec vertex. All methods but `run` block.

    Args:
        store: the store.
        session: where secrets and agents come from.
        work: a directory to be made, on a private memory file system.
        vertex: an exec.
        inputs: the trees of its inputs.
        hold: called with the key of every snapshot made here.
        fresh_caches: see `ExecMounts`.
        discard: see `ExecMounts`.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        work: Path,
        vertex: Vertex,
        inputs: Sequence[Ref],
        hold: Callable[[str], None],
        *,
        fresh_caches: bool = False,
        discard: bool = False,
    ) -> None:
        assert isinstance(vertex.op, ExecOp)
        self._store = store
        self._work = work
        self.vertex = vertex
        self.op: ExecOp = vertex.op
        self.mounts = ExecMounts(
            store, session, work, self.op, inputs, hold, fresh_caches=fresh_caches, discard=discard
        )

    def open(self) -> None:
        """Mount everything."""
        self._work.mkdir()
        self.mounts.__enter__()

    def close(self) -> None:
        """Unmount everything; `mounts.outputs` are there still, to be committed."""
        try:
            self.mounts.__exit__(None, None, None)
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    def discard(self) -> None:
        """Unmount everything, and forget what was written."""
        try:
            self.close()
        finally:
            for key in self.mounts.outputs.values():
                self._store.snapshots.abandon(key)

    def shell(self, wanted: Shell) -> ProcessSpec:
        """The process of a shell in here: the step's own, with another command.

        Raises:
            SolveError: there is no shell, or no such user.
        """
        op = self.op
        changes = {"user": wanted.user or op.meta.user, "cwd": wanted.workdir or op.meta.cwd}
        op = op.replace(meta=op.meta.replace(**changes))
        process = process_of(op, self.mounts, self.vertex.metadata.resources)
        env = tuple(pair for pair in process.env if not (wanted.terminal and pair.startswith("TERM=")))
        return attrs.evolve(
            process,
            args=wanted.command or (self._find_shell(),),
            env=(*env, f"TERM={wanted.terminal}") if wanted.terminal else env,
            terminal=bool(wanted.terminal),
            timeout_seconds=0.0,
        )

    def _find_shell(self) -> str:
        root = str(self.mounts.rootfs)
        for path in SHELLS:
            if os.path.isfile(root + resolve_in(root, path)):
                return path
        raise SolveError(
            "there is no shell in the file system of this step", hint="give a command that is there, with its path"
        )

    async def run(self, process: ProcessSpec, executor: Executor, io: ProcessIO, console: Console) -> ExitStatus:
        """Run a process in here."""
        name = f"pybuild-{os.urandom(8).hex()}"
        return await executor.run(name, self.mounts.rootfs, self.mounts.bound, process, io, console)
