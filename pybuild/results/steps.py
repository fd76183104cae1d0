"""The steps of a build, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, overload

from pybuild.digest import Digest
from pybuild.llb.vertex import Graph, Vertex
from pybuild.request import StepResult
from pybuild.results.tables import html_table, size_text, text_table
from pybuild.viz.model import STATE_WORDS, time_text


class Steps(Sequence[StepResult]):
    """How every step went, in topological order.

    Args:
        results: one per step.
        graph: what was built, for the lines that wrote each step.
    """

    _HEADING: Final = ("STEP", "STATE", "TIME", "SIZE", "WHERE")

    def __init__(self, results: Sequence[StepResult], graph: Graph) -> None:
        self._results = tuple(results)
        self._vertices: dict[Digest, Vertex] = {vertex.digest: vertex for vertex in graph.vertices}

    def named(self, part: str) -> Steps:
        """The steps whose name contains a text."""
        return self._of([step for step in self._results if part in step.name])

    def _of(self, results: Sequence[StepResult]) -> Steps:
        found = Steps(results, Graph([]))
        found._vertices = self._vertices
        return found

    @overload
    def __getitem__(self, index: int) -> StepResult: ...
    @overload
    def __getitem__(self, index: slice) -> Steps: ...
    def __getitem__(self, index: int | slice) -> StepResult | Steps:
        return self._of(self._results[index]) if isinstance(index, slice) else self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __eq__(self, other: object) -> bool:
        return self._results == other._results if isinstance(other, Steps) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._results)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                _one_line(step.name),
                STATE_WORDS[step.state],
                time_text(step.duration) if step.state in ("done", "failed") else "",
                size_text(step.size),
                self._place(step),
            )
            for step in self._results
        ]

    def _place(self, step: StepResult) -> str:
        vertex = self._vertices.get(step.digest)
        return str(vertex.locations[0]) if vertex is not None and vertex.locations else ""

    def __repr__(self) -> str:
        return text_table(self._HEADING, self._rows(), right=[2, 3])

    def _repr_html_(self) -> str:
        return html_table(self._HEADING, self._rows(), right=[2, 3])


def _one_line(name: str, limit: int = 80) -> str:
    text = " ".join(name.partition("@sha256:")[0].split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
