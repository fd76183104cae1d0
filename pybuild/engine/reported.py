"""What happens after the steps, shown in the progress as a step of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from pybuild.digest import digest_of
from pybuild.protocols import ProgressSink, StepFinished, StepStarted, StepState, StepStatus


@contextmanager
def reported(sink: ProgressSink, name: str) -> Generator[Callable[[str], None]]:
    """A block that progress shows; it fails when the block raises.

    Args:
        sink: receives the events.
        name: what progress calls it; different ones for what is done in one build.

    Yields:
        What takes one-line progress.
    """
    digest, begun = digest_of("after", name), time.time()

    def finished(state: StepState, error: str = "") -> None:
        now = time.time()
        sink.emit(StepFinished(digest=digest, name=name, state=state, time=now, duration=now - begun, error=error))

    sink.emit(StepStarted(digest=digest, name=name, time=begun))
    try:
        yield lambda text: sink.emit(StepStatus(digest=digest, id=text, current=0, total=0, time=time.time()))
    except Exception as error:
        finished("failed", str(error))
        raise
    finished("done")
