"""Doing the work of single steps: brings sources in, and turns each kind of op into new snapshots.

One branch per op kind; the work itself is in `execstep`, `fileop` and `mergestep`. A step's result is committed only
when all of it succeeded, and everything is held by the build's lease from the moment it exists.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from pybuild.digest import Digest
from pybuild.errors import CapabilityError, EngineUnavailable, ExecError
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, PassthroughOp, SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.platform import Platform, host_platform, matches
from pybuild.protocols import Executor, Lease, ProgressSink, Ref, Session
from pybuild.runtime.emulation import registered, why_not
from pybuild.solver.execstep import StepOutput, run_exec
from pybuild.solver.filestep import note_file, run_file
from pybuild.solver.mergestep import run_diff, run_merge
from pybuild.solver.scene import Scene
from pybuild.solver.scheduler import Brought, Made
from pybuild.solver.sources import SourceSet
from pybuild.solver.state import Step
from pybuild.store.space import reporting_full
from pybuild.store.steplogs import write_log
from pybuild.store.store import Store


class StepRunner:
    """Runs steps of one job.

    Args:
        store: the store.
        sources: all sources.
        executor: runs processes.
        session: the client's session.
        lease: the build's lease.
        work: an empty directory on a private memory file system, for mount points and secrets.
        sink: receives logs.
        keep_failed: leave steps whose command fails as they are: they are `failed`, until `close`.
    """

    def __init__(
        self,
        *,
        store: Store,
        sources: SourceSet,
        executor: Executor,
        session: Session,
        lease: Lease,
        work: Path,
        sink: ProgressSink,
        keep_failed: bool = False,
    ) -> None:
        self._store = store
        self._sources = sources
        self.executor = executor
        self._session = session
        self._lease = lease
        self._work = work
        self._sink = sink
        self._keep_failed = keep_failed
        self.failed: list[Scene] = []
        self._outputs: dict[Digest, StepOutput] = {}

    def scene(
        self, vertex: Vertex, inputs: Sequence[Ref], *, fresh_caches: bool = False, discard: bool = False
    ) -> Scene:
        """The file system of an exec, to be opened; see `Scene`."""
        work = self._work / f"step-{uuid.uuid4().hex}"
        return Scene(
            self._store,
            self._session,
            work,
            vertex,
            inputs,
            self._hold,
            fresh_caches=fresh_caches,
            discard=discard,
        )

    @property
    def printed(self) -> dict[Digest, bytes]:
        """What steps printed of which there is no result."""
        return {digest: output.text for digest, output in self._outputs.items()}

    def close(self) -> None:
        """Clean up what was left of failed steps."""
        while self.failed:
            self.failed.pop().discard()

    async def fetch(self, step: Step) -> Brought:
        """See scheduler.Runner."""
        with reporting_full(self._store.root):
            return await asyncio.to_thread(self._fetch, step)

    def _fetch(self, step: Step) -> Brought:
        here = self._sources.is_here(step.vertex)
        return Brought(ref=self._sources.fetch(step.vertex, self._hold), fresh=not here)

    async def execute(self, step: Step, inputs: Sequence[Ref]) -> Made:
        """See scheduler.Runner."""
        with reporting_full(self._store.root):
            return await self._execute(step, inputs)

    async def _execute(self, step: Step, inputs: Sequence[Ref]) -> Made:
        op = step.vertex.op
        match op:
            case ExecOp():
                return await self._exec(step, inputs)
            case FileOp():
                return await asyncio.to_thread(self._file, op, inputs, step.no_cache)
            case MergeOp():
                ref = await asyncio.to_thread(run_merge, self._store, op, inputs, self._hold)
                return Made(refs={0: ref})
            case DiffOp():
                ref = await asyncio.to_thread(run_diff, self._store, op, inputs, self._hold)
                return Made(refs={0: ref})
            case PassthroughOp():
                return Made(refs={position: inputs[number] for position, number in enumerate(op.outputs)})
            case BuildOp():
                raise CapabilityError(
                    "the embedded engine does not solve nested definitions",
                    hint="use the BuildKit engine for build ops",
                )
            case SourceOp():
                return Made(refs={0: (await self.fetch(step)).ref})
            case _:
                assert_never(op)

    async def bring(self, step: Step, output: int) -> Ref:
        """See scheduler.Runner."""
        from pybuild.remotecache.bring import bring_result

        with reporting_full(self._store.root):
            credentials = self._session.credentials
            return await asyncio.to_thread(bring_result, self._store, step.remote[output], credentials, self._hold)

    def _hold(self, snapshot: str) -> None:
        self._lease.add("snapshot", snapshot)

    async def _exec(self, step: Step, inputs: Sequence[Ref]) -> Made:
        await asyncio.to_thread(check_platform, step.vertex.constraints.platform)
        scene = self.scene(step.vertex, inputs, fresh_caches=step.no_cache)
        try:
            await asyncio.to_thread(scene.open)
            output = self._outputs[step.vertex.digest] = StepOutput(step, self._sink)
            await run_exec(step, scene.mounts, self.executor, output)
            await asyncio.shield(asyncio.to_thread(scene.close))
        except BaseException as error:
            if self._keep_failed and isinstance(error, ExecError):
                self.failed.append(scene)
            else:
                await asyncio.shield(asyncio.to_thread(scene.discard))
            raise
        made = await asyncio.to_thread(self._commit, scene.mounts.outputs, output.text)
        del self._outputs[step.vertex.digest]
        return made

    def _file(self, op: FileOp, inputs: Sequence[Ref], fresh: bool) -> Made:
        active = run_file(self._store, op, inputs, self._hold, fresh=fresh)
        made = self._commit({0: active})
        note_file(self._store, op, inputs, made.refs[0].snapshot)
        return made

    def _commit(self, active: dict[int, str], log: bytes = b"") -> Made:
        refs: dict[int, Ref] = {}
        size = -1
        for output, key in sorted(active.items()):
            name = f"layer-{uuid.uuid4().hex}"
            self._hold(name)
            if output == 0 and log:
                write_log(self._store, key, log)
            self._store.snapshots.commit(name, key)
            refs[output] = Ref(snapshot=name)
            if output == 0:
                size = self._store.snapshots.usage(name).size
        return Made(refs=refs, size=size)


def check_platform(platform: Platform | None) -> None:
    """Whether a step's programs can run here.

    Raises:
        EngineUnavailable: they are for another platform that nothing emulates.
    """
    if platform is None or matches(platform, host_platform()):
        return
    reason = why_not(platform, host_platform(), registered())
    if reason:
        raise EngineUnavailable(
            f"a step for {platform} cannot run on {host_platform()}: {reason}",
            hint="install qemu's interpreters, such as Debian's packages qemu-user-static and binfmt-support; or pin "
            "what has to run to the build platform, or build on a machine of that platform",
        )
