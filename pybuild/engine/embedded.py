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

from pybuild.engine.entitlements import check_allowed
from pybuild.engine.leftovers import sweep_workers
from pybuild.engine.localbuild import Build
from pybuild.errors import InternalError, SolveError
from pybuild.platform import host_platform, require_linux
from pybuild.protocols import (
    EngineInfo,
    Plan,
    ProgressSink,
    Session,
    SolveRequest,
    SolveResult,
)
from pybuild.solver.plan import as_plan
from pybuild.store.root import default_root
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.engine.channel import Call, Channel

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
