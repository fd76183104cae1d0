"""The drawing of a build that failed: which step, after what, and what was not reached any more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.digest import Digest
from pybuild.errors import PybuildError
from pybuild.protocols import (
    Engine,
    ProgressEvent,
    ProgressSink,
    Session,
    SolveRequest,
    StepFinished,
    StepResult,
    StepState,
)

if TYPE_CHECKING:
    from pybuild.llb.vertex import Graph


class Recorder:
    """A sink that passes everything on and keeps how steps ended.

    A failed build returns nothing, so what is known of it are its events.

    Args:
        sink: what shows the progress.
    """

    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink
        self._ended: dict[Digest, StepResult] = {}

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        if isinstance(event, StepFinished):
            self._ended[event.digest] = StepResult(
                digest=event.digest,
                name=event.name,
                state=event.state,
                started=event.time - event.duration,
                duration=event.duration,
                size=event.size,
                reason=event.reason,
            )
        self._sink.emit(event)

    def draw(self, engine: Engine, request: SolveRequest, session: Session, path: Path) -> str:
        """Write the drawing.

        Args:
            engine: what was building; it knows the graph that it solved.
            request: what it was asked for.
            session: what the client offers.
            path: the file.

        Returns:
            Why there is no drawing, or "". The build's own error is what matters, so this one raises none.
        """
        from pybuild.viz.drawing import Drawing

        try:
            graph = _solved(engine, request, session)
            Drawing(graph, steps=self._steps(graph)).save(path)
        except (PybuildError, OSError) as error:
            return f"the graph was not drawn: {error}"
        return ""

    def _steps(self, graph: Graph) -> list[StepResult]:
        """How each vertex went; what has no result because of one that failed was canceled."""
        steps: list[StepResult] = []
        without: set[Digest] = set()
        for vertex in graph.vertices:
            step = self._ended.get(vertex.digest)
            if step is None:
                state: StepState = "canceled" if any(e.vertex.digest in without for e in vertex.inputs) else "skipped"
                step = StepResult(digest=vertex.digest, name=vertex.name, state=state, started=0.0, duration=0.0)
            if step.state in ("failed", "canceled"):
                without.add(vertex.digest)
            steps.append(step)
        return steps


def _solved(engine: Engine, request: SolveRequest, session: Session) -> Graph:
    """The graph after all passes; the user's own one when the failure was before that."""
    from pybuild.llb.vertex import Edge, Graph

    try:
        plan = engine.plan(request, session)
    except Exception:  # whatever it is, the build has raised it already
        return request.graph
    return Graph([Edge(plan.steps[-1].vertex)]) if plan.steps else request.graph


__all__ = ["Recorder"]
