"""The embedded engine: no daemon, one process per build over a shared store.

The client plans: passes, then a look at the cache, without an event loop, containers or privileges. Only when
something has to run, or the export needs more rights than the client has, a worker process is started (`worker.py`),
which plans again and runs what is missing.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.digest import digest_of
from pybuild.engine.entitlements import check_allowed
from pybuild.engine.imageresult import image_references, layer_history, result_config
from pybuild.engine.leftovers import sweep_workers
from pybuild.errors import InternalError, SolveError
from pybuild.llb.vertex import Edge, Graph
from pybuild.oci.imageconfig import ImageConfig
from pybuild.passes.pipeline import passes_named, run_passes
from pybuild.platform import host_platform, require_linux
from pybuild.protocols import (
    EngineInfo,
    ExportInput,
    ExportResult,
    PassContext,
    Plan,
    ProgressSink,
    Ref,
    Session,
    SolveRequest,
    SolveResult,
    StepFinished,
    StepStarted,
    StepState,
    StepStatus,
)
from pybuild.solver.contents import SnapshotContents
from pybuild.solver.plan import Planner, as_plan
from pybuild.solver.report import Reporter
from pybuild.solver.sources import SourceSet
from pybuild.solver.state import Job
from pybuild.store.root import default_root
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.engine.channel import Call, Channel, Start
    from pybuild.protocols import Lease

_CANCEL_GRACE_SECONDS = 15.0


class EmbeddedEngine:
    """Solves graphs on this machine.

    Args:
        root: the store's directory; None for the default one.
        rootless: use a user namespace; None decides by the effective user id.
    """

    name = "embedded"

    def __init__(self, root: Path | str | None = None, *, rootless: bool | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()
        self.rootless = os.geteuid() != 0 if rootless is None else rootless

    def store(self) -> Store:
        """The store that results are kept in."""
        require_linux()
        return Store.open(self.root)

    async def info(self) -> EngineInfo:
        """See protocols.Engine."""
        from pybuild import __version__

        return EngineInfo(name=self.name, version=__version__, platforms=(host_platform(),))

    async def aclose(self) -> None:
        """See protocols.Engine."""

    def plan(self, request: SolveRequest, session: Session) -> Plan:
        """See protocols.Engine."""
        build = Build(Store.open(self.root), request, session)
        build.plan(learn=False)
        return as_plan(build.job)

    async def solve(self, request: SolveRequest, session: Session, sink: ProgressSink) -> SolveResult:
        """See protocols.Engine."""
        import asyncio

        cancelled = threading.Event()
        task = asyncio.create_task(asyncio.to_thread(self.run, request, session, sink, cancelled))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled.set()
            await asyncio.gather(task, return_exceptions=True)
            raise

    def run(
        self,
        request: SolveRequest,
        session: Session,
        sink: ProgressSink,
        cancelled: threading.Event | None = None,
    ) -> SolveResult:
        """Build, blocking the calling thread.

        Args:
            request: what to build.
            session: what the client offers.
            sink: receives progress.
            cancelled: set it from another thread to stop the build.

        Raises:
            SolveError: a step failed; the vertex's locations are attached.
            EngineUnavailable: this host lacks something; the hint says what.
            NotAllowed: a step wants more than a sandbox.
        """
        require_linux()
        check_allowed(request.graph, request.allow)
        started = time.time()
        store = Store.open(self.root)
        with store.leases.lease() as lease:
            build = Build(store, request, session)
            build.plan(learn=True)
            if build.complete and not (request.outputs and self.rootless):
                done = build.finish_cached(lease, sink, started)
                if done is not None:
                    sweep_workers(self.root)
                    return done
        return self._run_worker(request, session, sink, cancelled or threading.Event(), build.sources.pins)

    def _run_worker(
        self,
        request: SolveRequest,
        session: Session,
        sink: ProgressSink,
        cancelled: threading.Event,
        pins: Mapping[str, str],
    ) -> SolveResult:
        # A cached build needs none of these.
        import socket
        import subprocess

        from pybuild.engine.channel import Channel, Start

        ours, theirs = socket.socketpair()
        package_parent = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package_parent, *_python_path()])}
        process = subprocess.Popen(
            [sys.executable, "-m", "pybuild.engine.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        channel = Channel(ours)
        slots = max(2, len(os.sched_getaffinity(0)))
        try:
            start = Start(root=str(self.root), request=request, rootless=self.rootless, slots=slots, pins=pins)
            channel.send(start)
            watcher = threading.Thread(target=_forward_cancel, args=(cancelled, channel), daemon=True)
            watcher.start()
            return _converse(channel, session, sink)
        except KeyboardInterrupt:
            _cancel_and_wait(channel, session, sink)
            raise
        finally:
            cancelled.set()
            channel.close()
            process.wait()


def _python_path() -> list[str]:
    found = os.environ.get("PYTHONPATH", "")
    return found.split(os.pathsep) if found else []


def _forward_cancel(cancelled: threading.Event, channel: Channel) -> None:
    from pybuild.engine.channel import Cancel

    cancelled.wait()
    try:
        channel.send(Cancel())
    except OSError:
        return


def _converse(channel: Channel, session: Session, sink: ProgressSink) -> SolveResult:
    """Serve the worker until it is done."""
    from pybuild.engine.channel import Call, Done, Event, Failed

    while True:
        match channel.receive():
            case Event(event=event):
                sink.emit(event)
            case Call() as call:
                # Answered by another thread, so that a secret that takes time does not hold up progress.
                threading.Thread(target=_answer, args=(channel, session, call), daemon=True).start()
            case Done(result=result):
                return result
            case Failed(error=error):
                raise error
            case None:
                raise InternalError("the worker process ended without an answer", hint="its messages are above")
            case message:
                raise InternalError(f"unexpected message {type(message).__name__}")


def _answer(channel: Channel, session: Session, call: Call) -> None:
    from pybuild.engine.channel import Reply

    try:
        value = getattr(session, call.method)(call.argument)
        reply = Reply(id=call.id, value=value)
    except Exception as error:  # it is the worker's to raise
        reply = Reply(id=call.id, error=error)
    try:
        channel.send(reply)
    except OSError:
        return


def _cancel_and_wait(channel: Channel, session: Session, sink: ProgressSink) -> None:
    """Ask the worker to clean up; after a grace period closing the channel ends it anyway."""
    from pybuild.engine.channel import Cancel

    timer = threading.Timer(_CANCEL_GRACE_SECONDS, channel.close)
    timer.daemon = True
    timer.start()
    try:
        channel.send(Cancel())
        _converse(channel, session, sink)
    except (SolveError, InternalError, OSError):
        return
    finally:
        timer.cancel()


class Build:
    """One request on one store: optimized graph, job, and what becomes of the result.

    Args:
        store: the store.
        request: what to build.
        session: the client's session.
        pins: what is known already of its sources.
    """

    def __init__(
        self, store: Store, request: SolveRequest, session: Session, pins: Mapping[str, str] | None = None
    ) -> None:
        self.store = store
        self.request = request
        self._session = session
        self.sources = SourceSet(store, session, request.platform, pins)
        context = PassContext(platform=request.platform, resolver=self.sources, squash=request.squash)
        self.graph: Graph = run_passes(request.graph, context, passes_named(request.passes))
        self.job = Job(self.graph, request.no_cache)
        self.planner = Planner(store.cache, self.sources, SnapshotContents(store))

    def plan(self, *, learn: bool) -> None:
        """Decide on every step; `learn` stores what was found by content, for a faster next time."""
        for key, links in self.planner.plan(self.job):
            if learn:
                self.store.cache.add_links(key, links)

    @property
    def complete(self) -> bool:
        """Whether every head is cached."""
        return all(head is None or head[0].state == "cached" for head in self.job.heads)

    @property
    def head(self) -> Edge | None:
        """The result edge of the optimized graph."""
        return self.graph.heads[0]

    def config(self) -> ImageConfig:
        """The result's image config, without layers."""
        written = self.request.graph.heads[0]
        return result_config(self.head, written, self.request.patch, self.request.platform, self.sources)

    def finish_cached(self, lease: Lease, sink: ProgressSink, started: float) -> SolveResult | None:
        """The result of a build of which everything is cached; None when it was collected in the meantime."""
        reporter = Reporter(self.job, sink)
        head = self.job.heads[0]
        ref = Ref(snapshot="")
        if head is not None:
            record = lease.hold_result(head[0].keys[head[1]])
            if record is None:
                return None
            ref = record.ref
        for step in self.job.steps:
            if step.state == "cached":
                reporter.cached(step)
        return self.finish(ref, reporter, sink, started)

    def finish(self, ref: Ref, reporter: Reporter, sink: ProgressSink, started: float) -> SolveResult:
        """Export the result and say how everything went."""
        config = self.config()
        exports = tuple(self._export(ref, config, sink))
        keys = [step.keys[output] for step in self.job.steps if step.state == "cached" for output in step.keys]
        self.store.cache.touch(keys)
        return SolveResult(
            ref=ref,
            config=config,
            steps=reporter.results(),
            exports=exports,
            duration=time.time() - started,
            graph=self.graph,
        )

    def _export(self, ref: Ref, config: ImageConfig, sink: ProgressSink) -> list[ExportResult]:
        results: list[ExportResult] = []
        for number, output in enumerate(self.request.outputs):
            source = ExportInput(
                ref=ref,
                config=config,
                output=output,
                platform=self.request.platform,
                source_date_epoch=self.request.source_date_epoch,
                layer_history=None if self.request.patch.base is not None else layer_history(self.head),
                base_images=image_references(self.graph),
            )
            results.append(self._export_one(source, number, sink))
        return results

    def _export_one(self, source: ExportInput, number: int, sink: ProgressSink) -> ExportResult:
        """Write one output; in the progress it is a step as any other."""
        from pybuild.exporter import exporter_for

        name = f"exporting {source.output.type} {source.output.dest}".rstrip()
        step = digest_of("export", number)
        begun = time.time()

        def finished(state: StepState, error: str = "") -> None:
            now = time.time()
            sink.emit(StepFinished(digest=step, name=name, state=state, time=now, duration=now - begun, error=error))

        sink.emit(StepStarted(digest=step, name=name, time=begun))
        try:
            result = exporter_for(source.output.type, self.store, self._session.credentials).export(
                source, lambda text: sink.emit(StepStatus(digest=step, id=text, current=0, total=0, time=time.time()))
            )
        except Exception as error:
            finished("failed", str(error))
            raise
        finished("done")
        return result


async def solve_in_worker(start: Start, session: Session, sink: ProgressSink) -> SolveResult:
    """What the worker process does: plan again, run what is missing, export."""
    import asyncio

    from pybuild.engine.execution import execution

    started = time.time()
    store = Store.open(Path(start.root))
    with store.leases.lease() as lease:
        build = await asyncio.to_thread(Build, store, start.request, session, start.pins)
        await asyncio.to_thread(build.plan, learn=True)
        reporter = Reporter(build.job, sink)
        async with execution(build, lease, session, sink, reporter, start) as scheduler:
            refs = await scheduler.run()
            return await asyncio.to_thread(build.finish, refs[0], reporter, sink, started)


__all__ = ["Build", "EmbeddedEngine", "solve_in_worker"]
