"""The embedded engine: no daemon, one process per build over a shared store.

The client plans: passes, then a look at the cache, without an event loop, containers or privileges. Only when
something has to run, or the export needs more rights than the client has, a worker process is started (`worker.py`),
which plans again and runs what is missing.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from pybuild.engine.entitlements import check_allowed
from pybuild.engine.finish import finish_cached
from pybuild.engine.leftovers import sweep_workers
from pybuild.engine.localbuild import Build
from pybuild.errors import ExecError, InternalError
from pybuild.platform import host_platform, require_linux
from pybuild.protocols import (
    EngineInfo,
    Plan,
    ProgressSink,
    Session,
    Shell,
    SolveRequest,
    SolveResult,
)
from pybuild.shown import Shown
from pybuild.solver.plan import as_plan
from pybuild.store.gcstate import is_due, settle
from pybuild.store.root import default_root
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.engine.channel import Start
    from pybuild.engine.workerprocess import Talker


class EmbeddedEngine(Shown):
    """Solves graphs on this machine.

    Args:
        root: the store's directory; None for the default one.
        rootless: use a user namespace; None decides by the effective user id.
    """

    name = "embedded"

    def __init__(self, root: Path | str | None = None, *, rootless: bool | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()
        self.rootless = os.geteuid() != 0 if rootless is None else rootless

    def __repr__(self) -> str:
        return f"<EmbeddedEngine {self.root}{' rootless' if self.rootless else ''}>"

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
        return as_plan(build.job, build.store.cache.estimate)

    async def solve(self, request: SolveRequest, session: Session, sink: ProgressSink) -> SolveResult:
        """See protocols.Engine."""
        from pybuild.engine.threaded import solve_in_thread

        return await solve_in_thread(self.run, request, session, sink)

    def run(
        self,
        request: SolveRequest,
        session: Session,
        sink: ProgressSink,
        cancelled: threading.Event | None = None,
        talker: Talker | None = None,
    ) -> SolveResult:
        """Build, blocking the calling thread.

        Args:
            request: what to build.
            session: what the client offers.
            sink: receives progress.
            cancelled: set it from another thread to stop the build.
            talker: whom the request's `on_error` is for.

        Raises:
            SolveError: a step failed; the vertex's locations are attached.
            EngineUnavailable: this host lacks something; the hint says what.
            NotAllowed: a step wants more than a sandbox.
            ExportError: an output cannot hold what the build makes.
            ConfigError: the configuration file is wrong.
        """
        require_linux()
        check_allowed(request.graph, request.allow)
        if request.cache_to or request.cache_from:
            from pybuild.engine.caches import check_caches

            check_caches(request)
        if request.further or request.attests:
            from pybuild.exporter.several import check_outputs

            check_outputs(request)
        store = Store.open(self.root)
        settle(store.root)
        try:
            return self._run(store, request, session, sink, cancelled or threading.Event(), talker)
        finally:
            due = is_due(store)
            store.close()
            if due:
                from pybuild.engine.collector import start_collecting

                start_collecting(store.root)

    def _run(
        self,
        store: Store,
        request: SolveRequest,
        session: Session,
        sink: ProgressSink,
        cancelled: threading.Event,
        talker: Talker | None,
    ) -> SolveResult:
        started = time.time()
        with store.leases.lease() as lease:
            build = Build(store, request, session)
            build.plan(learn=True)
            if request.cache_from and (request.cache_to or not build.complete):
                from pybuild.engine.caches import import_caches

                import_caches(build, sink)
                build.plan(learn=True)
            if build.complete and not ((request.outputs or request.cache_to) and self.rootless):
                done = finish_cached(build, lease, sink, started)
                if done is not None:
                    sweep_workers(self.root)
                    return done
        from pybuild.engine.workerprocess import run_worker

        start = self._start(request, build)
        done = run_worker(start, session, sink, cancelled, talker)
        if done is None:
            raise InternalError("the worker process made nothing")
        return done

    def shell(
        self,
        request: SolveRequest,
        session: Session,
        sink: ProgressSink,
        talker: Talker,
        shell: Shell,
        *,
        step: str = "",
        before: bool = False,
    ) -> None:
        """A shell in the file system of a step; `talker` learns how it goes. What it changes is thrown away.

        Args:
            request: what to build, as far as the step needs it.
            session: what the client offers.
            sink: receives progress.
            talker: who talks to the shell.
            shell: what to run.
            step: which step: its number, digest, name, target or line (see `stepnames`); "" is the result.
            before: as the step finds everything; otherwise as it leaves it.

        Raises:
            TargetError: there is no such step, or several.
            SolveError: a step failed, or there is no shell in its file system.
            EngineUnavailable: this host lacks something; the hint says what.
            NotAllowed: a step wants more than a sandbox.
        """
        from pybuild.engine.channel import Look
        from pybuild.engine.stepnames import find_step, names_of
        from pybuild.engine.workerprocess import run_worker

        require_linux()
        check_allowed(request.graph, request.allow)
        build = Build(Store.open(self.root), request, session)
        look = Look(shell=shell, step=find_step(names_of(build.graph), step).digest if step else "", before=before)
        start = attrs.evolve(self._start(request, build), look=look)
        try:
            run_worker(start, session, sink, threading.Event(), talker)
        except ExecError as error:
            if not before and error.vertex in (look.step, "" if build.head is None else build.head.vertex.digest):
                error.hint = error.hint or "--before shows the file system that it starts from"
            raise

    def _start(self, request: SolveRequest, build: Build) -> Start:
        from pybuild.engine.channel import Start

        slots = max(2, len(os.sched_getaffinity(0)))
        return Start(
            root=str(self.root),
            request=request,
            rootless=self.rootless,
            slots=slots,
            pins=build.sources.pins,
            caches=build.caches,
        )
