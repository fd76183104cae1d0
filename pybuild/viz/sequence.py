"""Several graphs in one drawing, each under a title: how a graph looks before and after a pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import attrs

from pybuild.llb.vertex import Graph
from pybuild.viz.drawing import Drawing
from pybuild.viz.model import Link, Model, Node, model_of


class SequenceDrawing(Drawing):
    """A drawing of graphs that stand side by side, in all the forms that a drawing has.

    Args:
        graphs: (title, graph), first to last; every title stands for its graph as a target does for its steps.
        format: as for `Drawing`.

    Raises:
        ArgumentError: an unknown format.
    """

    def __init__(self, graphs: Sequence[tuple[str, Graph]], *, format: str = "svg") -> None:  # noqa: A002
        super().__init__(graphs[-1][1] if graphs else Graph([]), format=format)
        self._graphs = tuple(graphs)

    @cached_property
    def model(self) -> Model:
        """All graphs; steps are numbered through."""
        nodes: list[Node] = []
        links: list[Link] = []
        heads: list[int] = []
        for title, graph in self._graphs:
            part, count = model_of(graph), len(nodes)
            nodes += [attrs.evolve(node, number=node.number + count, stage=title) for node in part.nodes]
            links += [attrs.evolve(link, source=link.source + count, target=link.target + count) for link in part.links]
            heads += [number + count for number in part.heads]
        return Model(nodes=tuple(nodes), links=tuple(links), heads=tuple(heads))


__all__ = ["SequenceDrawing"]
