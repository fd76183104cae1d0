"""Rebuilding a graph from its sources upward, for passes that take vertices out, put new ones in, or both.

`walk.rewrite` maps vertex to vertex; here a pass says itself what stands for an old vertex. An old vertex that nothing
stands for must not be used by what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from pybuild.errors import InternalError
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.location import Location


class Rebuild:
    """What stands for the vertices of the old graph, filled in inputs first."""

    def __init__(self) -> None:
        self._made: dict[int, Vertex | Edge | None] = {}

    def put(self, old: Vertex, new: Vertex | Edge | None) -> None:
        """From now on `new` stands for `old`; an edge is taken whatever the output, None is the empty tree."""
        self._made[id(old)] = new

    def tree(self, old: Edge) -> Edge | None:
        """What stands for an edge; None for the empty tree."""
        new = self._made.get(id(old.vertex), old)
        return Edge(new, old.output) if isinstance(new, Vertex) else new

    def edge(self, old: Edge) -> Edge:
        """What stands for an edge, where it cannot be the empty tree."""
        new = self.tree(old)
        if new is None:
            raise InternalError(f"a pass left out {old.vertex!r}, which is used", locations=old.vertex.locations)
        return new

    def keep(self, old: Vertex, locations: Sequence[Location] = ()) -> Vertex:
        """`old` itself, over what stands for its inputs, with more `locations`."""
        below = (*[edge.vertex for edge in old.inputs], *old.visits)
        moved = any(id(vertex) in self._made for vertex in below)
        if not moved and not locations:
            return old
        new = old.replace(
            inputs=[self.edge(edge) for edge in old.inputs] if moved else None,
            visits=[self.edge(Edge(vertex)).vertex for vertex in old.visits] if moved else None,
            locations=tuple(dict.fromkeys((*old.locations, *locations))),
        )
        self._made[id(old)] = new
        return new

    def graph(self, old: Graph) -> Graph:
        """The new graph."""
        return Graph(None if edge is None else self.tree(edge) for edge in old.heads)
