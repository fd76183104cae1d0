"""Drops vertices that hand their only input through: a merge of one, and a diff from nothing.

Safe because their result is that input, byte for byte; what stands for them takes their locations. Vertices that no
head reaches are no part of a graph in the first place, so unused stages need no pruning.

    before   merge(alpine)
    after    alpine
"""

from __future__ import annotations

from pybuild.llb.ops import DiffOp, MergeOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.location import Location
from pybuild.passes.rebuild import Rebuild
from pybuild.protocols import PassContext


def prune(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    through: dict[int, Edge] = {}
    places: dict[int, list[Location]] = {}
    for vertex in graph.vertices:
        below = _through(vertex)
        if below is not None:
            target = through[id(vertex)] = through.get(id(below.vertex), below)
            places.setdefault(id(target.vertex), []).extend(vertex.locations)
            if context.record is not None:
                context.record("left out", [vertex], [target.vertex])
    if not through:
        return graph
    rebuild = Rebuild()
    for vertex in graph.vertices:
        if id(vertex) in through:
            rebuild.put(vertex, rebuild.edge(through[id(vertex)]))
        else:
            rebuild.keep(vertex, places.get(id(vertex), ()))
    return rebuild.graph(graph)


def _through(vertex: Vertex) -> Edge | None:
    """The input that a vertex hands through."""
    match vertex.op:
        case MergeOp(inputs=(only,)):
            return vertex.inputs[only]
        case DiffOp(lower=-1, upper=upper) if upper >= 0:
            return vertex.inputs[upper]
        case _:
            return None
