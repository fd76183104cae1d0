"""Everything a build needs to run steps, opened and closed together. Only the worker process comes here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pybuild.engine.buildlog import remember
from pybuild.engine.finish import finish
from pybuild.engine.leftovers import WORKERS
from pybuild.engine.localbuild import Build
from pybuild.errors import ExecError
from pybuild.protocols import (
    Console,
    ExitStatus,
    Lease,
    ProcessIO,
    ProcessSpec,
    ProgressSink,
    Session,
    SolveResult,
    Warned,
)
from pybuild.runtime.executor import OciExecutor
from pybuild.runtime.network import NetworkPool
from pybuild.runtime.probe import find_runtime
from pybuild.runtime.workerdir import WorkerDir
from pybuild.solver.report import Reporter
from pybuild.solver.runner import StepRunner
from pybuild.solver.scheduler import Scheduler
from pybuild.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pybuild.engine.channel import Start
    from pybuild.engine.shellhost import ShellHost
    from pybuild.protocols import BoundMount


class LateExecutor:
    """An OCI executor that looks for a runtime when the first process has to run: builds of files need none.

    Args:
        root: the store's directory, for the remembered probe.
        state: the worker's state directory.
        network: the pool of network namespaces.
        rootless: whether the worker is in a user namespace.
    """

    name = "oci"

    def __init__(self, root: Path, state: WorkerDir, network: NetworkPool, *, rootless: bool) -> None:
        self._root = root
        self._state = state
        self._network = network
        self._rootless = rootless
        self._lock = asyncio.Lock()
        self._executor: OciExecutor | None = None

    async def run(
        self,
        container_id: str,
        rootfs: Path,
        mounts: Sequence[BoundMount],
        process: ProcessSpec,
        io: ProcessIO,
        console: Console | None = None,
    ) -> ExitStatus:
        """See protocols.Executor."""
        async with self._lock:
            if self._executor is None:
                self._executor = await asyncio.to_thread(self._make)
        return await self._executor.run(container_id, rootfs, mounts, process, io, console)

    def _make(self) -> OciExecutor:
        scratch = self._state.path / "probe"
        scratch.mkdir(exist_ok=True)
        runtime = find_runtime(
            cache=self._root / "runtime", scratch=scratch, worker=self._state.name, rootless=self._rootless
        )
        return OciExecutor(runtime, self._state, self._network)


class Execution(NamedTuple):
    """What runs a job: the scheduler, and what does the work of its steps."""

    scheduler: Scheduler
    runner: StepRunner


@asynccontextmanager
async def execution(
    build: Build, lease: Lease, session: Session, sink: ProgressSink, reporter: Reporter, start: Start
) -> AsyncGenerator[Execution]:
    """A scheduler for the build's job, with all that it needs.

    Args:
        build: planned already.
        lease: the build's lease.
        session: the client's session.
        sink: receives the steps' output.
        reporter: is told how steps go.
        start: how the worker was started.
    """
    store = build.store
    with WorkerDir(store.root / WORKERS) as state:

        def warn(text: str) -> None:
            sink.emit(Warned(message=text, time=time.time()))

        async with NetworkPool(state.path / "networks", warn=warn) as network:
            work = state.path / "steps"
            work.mkdir()
            runner = StepRunner(
                store=store,
                sources=build.sources,
                executor=LateExecutor(store.root, state, network, rootless=start.rootless),
                session=session,
                lease=lease,
                work=work,
                sink=sink,
                keep_failed=start.request.on_error is not None,
            )
            scheduler = Scheduler(
                build.job,
                planner=build.planner,
                runner=runner,
                cache=store.cache,
                holder=lease,
                locks=store.locks,
                reporter=reporter,
                slots=start.slots,
            )
            try:
                yield Execution(scheduler, runner)
            finally:
                await asyncio.to_thread(runner.close)


async def solve_in_worker(start: Start, session: Session, sink: ProgressSink, host: ShellHost) -> SolveResult:
    """What the worker process does: plan again, run what is missing, export."""
    started = time.time()
    with closing(Store.open(Path(start.root))) as store, store.leases.lease() as lease:
        build = await asyncio.to_thread(Build, store, start.request, session, start.pins)
        if start.caches is not None:
            from pybuild.engine.caches import import_caches

            import_caches(build, sink, start.caches)
        await asyncio.to_thread(build.plan, learn=True)
        reporter = Reporter(build.job, sink)
        async with execution(build, lease, session, sink, reporter, start) as (scheduler, runner):
            try:
                refs = await scheduler.run()
                return await asyncio.to_thread(finish, build, refs, reporter, sink, started)
            except BaseException as error:
                remember(build, reporter.results(), started, error=error, printed=runner.printed)
                if isinstance(error, ExecError):
                    await host.at_failure(runner, start.request.on_error, error)
                raise
