"""An engine's status messages as progress events, with the names, places and digests of the client's own graph."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.digest import Digest
from pybuild.llb.ops import SourceOp
from pybuild.protocols import (
    LogStream,
    ProgressEvent,
    ProgressSink,
    StepFinished,
    StepLog,
    StepResult,
    StepStarted,
    StepState,
    StepStatus,
    Warned,
)
from pybuild.solver.report import title

if TYPE_CHECKING:
    from pybuild.engine.buildkit.pb import control_pb2 as pb
    from pybuild.llb.vertex import Graph, Vertex

_STDERR: Final = 2
_CANCELED: Final = "context canceled"


@attrs.define
class _Step:
    """What was heard of one wire vertex."""

    digest: Digest
    name: str
    places: tuple[str, ...] = ()
    started: float = 0.0
    duration: float = 0.0
    state: StepState | None = None
    error: str = ""
    log: list[bytes] = attrs.field(factory=list[bytes])
    without_inputs: bool = False
    identified: float = 0.0
    """When the engine began to identify a step without inputs, which it reports as if the step had run."""


class Progress:
    """Translates status messages, and remembers how steps went.

    Args:
        sink: receives events.
    """

    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink
        self._steps: dict[str, _Step] = {}
        self._known: dict[str, Vertex] = {}

    def know(self, origin: Mapping[Digest, tuple[Vertex, ...]]) -> None:
        """Note which vertices of the graph stand behind which ops of the wire."""
        self._known.update({digest: vertices[0] for digest, vertices in origin.items()})

    def vertex(self, digest: str) -> Vertex | None:
        """The vertex behind an op of the wire."""
        return self._known.get(digest)

    def log(self, digest: str) -> bytes:
        """What a step printed so far."""
        step = self._steps.get(digest)
        return b"".join(step.log) if step is not None else b""

    def warn(self, text: str) -> None:
        """Say something worth knowing."""
        self._emit(Warned(message=text, time=time.time()))

    def take(self, message: pb.StatusResponse) -> None:
        """Translate one message."""
        for vertex in message.vertexes:
            self._vertex(vertex)
        for status in message.statuses:
            self._emit(
                StepStatus(
                    digest=self._digest(status.vertex),
                    id=status.ID,
                    current=status.current,
                    total=status.total,
                    time=_seconds(status.timestamp),
                )
            )
        for log in message.logs:
            step = self._steps.get(log.vertex)
            if step is not None:
                step.log.append(log.msg)
            stream: LogStream = "stderr" if log.stream == _STDERR else "stdout"
            self._emit(
                StepLog(digest=self._digest(log.vertex), stream=stream, data=log.msg, time=_seconds(log.timestamp))
            )
        for warning in message.warnings:
            detail = "\n".join(line.decode(errors="replace") for line in warning.detail)
            self._emit(Warned(message=warning.short.decode(errors="replace"), time=time.time(), detail=detail))

    def finish(self) -> None:
        """The build has succeeded: what was identified and never ran was cached."""
        for step in self._steps.values():
            if step.identified and step.state is None:
                step.state = "cached"
                self._emit(
                    StepFinished(digest=step.digest, name=step.name, state="cached", time=step.identified, duration=0.0)
                )

    def results(self, graph: Graph, origin: Mapping[Digest, tuple[Vertex, ...]]) -> tuple[StepResult, ...]:
        """How every vertex of a graph went: what the engine never spoke of was not needed."""
        wire: dict[Digest, _Step] = {}
        for digest, vertices in origin.items():
            step = self._steps.get(digest)
            if step is not None:
                wire.update({vertex.digest: step for vertex in vertices})
        return tuple(_result(vertex, wire.get(vertex.digest)) for vertex in graph.vertices)

    def _vertex(self, vertex: pb.Vertex) -> None:
        step = self._steps.get(vertex.digest)
        if step is None:
            known = self._known.get(vertex.digest)
            if known is None:
                step = _Step(Digest(vertex.digest), vertex.name)
            else:
                step = _Step(known.digest, title(known), tuple(str(place) for place in known.locations))
                step.without_inputs = not known.inputs and not isinstance(known.op, SourceOp)
            self._steps[vertex.digest] = step
        if step.without_inputs and _only_identified(vertex, step):
            return
        if vertex.HasField("started") and not step.started:
            step.started = _seconds(vertex.started)
            if not vertex.cached:
                self._emit(StepStarted(digest=step.digest, name=step.name, time=step.started, locations=step.places))
        if vertex.HasField("completed"):
            self._completed(vertex, step)

    def _completed(self, vertex: pb.Vertex, step: _Step) -> None:
        state: StepState = "cached" if vertex.cached else "done"
        if vertex.error:
            state = "canceled" if vertex.error.endswith(_CANCELED) else "failed"
        if step.state == state:
            return
        ended = _seconds(vertex.completed)
        again = step.state is not None  # such as a source that is fetched after it was identified
        step.state, step.error = state, vertex.error
        begun = _seconds(vertex.started) if vertex.HasField("started") else ended
        step.duration = max(step.duration, ended - begun)
        if again and state != "failed":
            return
        self._emit(
            StepFinished(
                digest=step.digest,
                name=step.name,
                state=state,
                time=ended,
                duration=step.duration,
                error=vertex.error,
            )
        )

    def _digest(self, wire: str) -> Digest:
        step = self._steps.get(wire)
        return Digest(wire) if step is None else step.digest

    def _emit(self, event: ProgressEvent) -> None:
        self._sink.emit(event)


def _only_identified(vertex: pb.Vertex, step: _Step) -> bool:
    """Whether a message is about the first, instant look at a step without inputs (solver/jobs.go, `CacheMap`)."""
    if vertex.cached or vertex.error or not vertex.HasField("started"):
        return False
    begun = _seconds(vertex.started)
    step.identified = step.identified or begun
    return begun == step.identified


def _result(vertex: Vertex, step: _Step | None) -> StepResult:
    if step is None:
        return StepResult(digest=vertex.digest, name=vertex.name, state="cached", started=0.0, duration=0.0)
    return StepResult(
        digest=vertex.digest,
        name=vertex.name,
        state=step.state or "skipped",
        started=step.started,
        duration=step.duration,
    )


def _seconds(timestamp: object) -> float:
    return timestamp.ToNanoseconds() / 1e9  # type: ignore[attr-defined, no-any-return]  # google.protobuf.Timestamp
