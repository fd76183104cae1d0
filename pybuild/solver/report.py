"""What the scheduler tells the world about its steps: progress events while they run, results at the end."""

from __future__ import annotations

import time

from pybuild.llb.vertex import Vertex, summary
from pybuild.protocols import ProgressSink, StepFinished, StepResult, StepStarted, StepState, Warned
from pybuild.solver.state import Job, Step

_TITLE_LIMIT = 400


def title(vertex: Vertex, *, with_platform: bool = False) -> str:
    """What progress calls a vertex: `[stage] name`, the command in full where that is possible.

    Args:
        vertex: which.
        with_platform: of a build for several platforms: `[linux/arm64 stage] name` where it is for one of them.
    """
    stage = dict(vertex.metadata.description).get("pybuild.stage", "")
    name = vertex.metadata.name or summary(vertex.op, _TITLE_LIMIT)
    platform = vertex.constraints.platform if with_platform else None
    mark = " ".join(part for part in ("" if platform is None else str(platform), stage) if part)
    return f"[{mark}] {name}" if mark and not name.startswith("[") else name


class Reporter:
    """Emits events for the steps of one job and keeps how each went.

    Args:
        job: the steps.
        sink: receives progress.
    """

    def __init__(self, job: Job, sink: ProgressSink) -> None:
        self._job = job
        self._sink = sink
        self._results: dict[int, StepResult] = {}

    def started(self, step: Step) -> float:
        """A step begins; returns the time, in seconds since the epoch."""
        now = time.time()
        vertex = step.vertex
        places = tuple(str(location) for location in vertex.locations)
        self._sink.emit(StepStarted(digest=vertex.digest, name=self._title(vertex), time=now, locations=places))
        return now

    def done(self, step: Step, started: float, size: int = -1) -> None:
        """A step ran; `size` in bytes of its own layer."""
        self._finish(step, "done", started, size=size)

    def failed(self, step: Step, started: float, error: BaseException) -> None:
        """A step failed, or was cancelled."""
        from asyncio import CancelledError  # nothing fails in a cached build, which does without an event loop

        if isinstance(error, CancelledError):
            self._finish(step, "canceled", started)
        else:
            self._finish(step, "failed", started, error=str(error) or type(error).__name__)

    def cached(self, step: Step) -> None:
        """A step did not have to run."""
        self._finish(step, "cached", time.time())

    def warn(self, message: str, step: Step) -> None:
        """Something about a step is worth knowing, and no error."""
        self._sink.emit(Warned(message=f"{self._title(step.vertex)}: {message}", time=time.time()))

    def _title(self, vertex: Vertex) -> str:
        return title(vertex, with_platform=len(self._job.heads) > 1)

    def _finish(self, step: Step, state: StepState, started: float, *, size: int = -1, error: str = "") -> None:
        now = time.time()
        vertex = step.vertex
        result = StepResult(
            digest=vertex.digest,
            name=vertex.name,
            state=state,
            started=started,
            duration=now - started,
            size=size,
            reason=step.reason,
            key=step.keys.get(0, ""),
        )
        self._results[step.number] = result
        self._sink.emit(
            StepFinished(
                digest=vertex.digest,
                name=self._title(vertex),
                state=state,
                time=now,
                duration=result.duration,
                error=error,
                reason=step.reason,
                size=size,
            )
        )

    def results(self) -> tuple[StepResult, ...]:
        """How every step went, in topological order: a source that was only identified counts as cached."""
        return tuple(self._results.get(step.number) or self._untouched(step) for step in self._job.steps)

    @staticmethod
    def _untouched(step: Step) -> StepResult:
        state: StepState = "cached" if step.settled else "skipped"
        vertex = step.vertex
        return StepResult(
            digest=vertex.digest,
            name=vertex.name,
            state=state,
            started=0.0,
            duration=0.0,
            reason=step.reason,
            key=step.keys.get(0, ""),
        )
