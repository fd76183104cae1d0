"""An engine's blocking `run` as a coroutine: in a thread, which cancelling stops and waits for."""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

from pybuild.protocols import ProgressSink, Session, SolveRequest, SolveResult


class Run(Protocol):
    """An engine's `run`: builds, until somebody sets `cancelled`."""

    def __call__(
        self, request: SolveRequest, session: Session, sink: ProgressSink, cancelled: threading.Event | None = None
    ) -> SolveResult: ...


async def solve_in_thread(run: Run, request: SolveRequest, session: Session, sink: ProgressSink) -> SolveResult:
    """What `run` returns or raises.

    Args:
        run: builds, until the event that it is given is set.
        request: what to build.
        session: what the client offers.
        sink: receives progress.
    """
    cancelled = threading.Event()
    task = asyncio.create_task(asyncio.to_thread(run, request, session, sink, cancelled))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.gather(task, return_exceptions=True)
        raise
