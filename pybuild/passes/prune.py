"""Drops vertices that hand their only input through: a merge of one, and a diff from nothing.

Safe because their result is that input, byte for byte. Vertices that no head reaches are no part of a graph in the
first place, so unused stages need no pruning.

    before   merge(alpine)
    after    alpine
"""

from __future__ import annotations

from pybuild.llb.ops import DiffOp, MergeOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.protocols import PassContext


def prune(graph: Graph, _context: PassContext, /) -> Graph:
    """Run the pass."""
    return rewrite(graph, _through)


def _through(vertex: Vertex) -> Vertex | Edge:
    match vertex.op:
        case MergeOp(inputs=(only,)):
            return vertex.inputs[only]
        case DiffOp(lower=-1, upper=upper) if upper >= 0:
            return vertex.inputs[upper]
        case _:
            return vertex
