"""Makes one merge of a merge and the merges that are only used by it.

Safe because a merge lays the layers of its inputs over each other in order, and a merge among them stands for just
that: its own inputs, in its place. BuildKit does the same when it runs a merge (cache/manager.go, `Merge`). A merge
stays apart when somebody else uses it, too, or when the two differ in their constraints, in `ignore_cache` or in how
they are shown. The layers are the same; the steps are fewer, so it is asked for by `-O2` only because the digest of
the definition changes.

    before   merge(alpine, tools) (Buildfile.py:4)  <-  merge(1, app) (Buildfile.py:5)
    after    merge(alpine, tools, app) (Buildfile.py:4, Buildfile.py:5)
"""

from __future__ import annotations

from pybuild.llb import construct
from pybuild.llb.ops import MergeOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.passes.rebuild import Rebuild
from pybuild.passes.unite import Usage, joinable, joined
from pybuild.protocols import PassContext


def flatten_merges(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    inner = _inner(graph)
    if not inner:
        return graph
    rebuild = Rebuild()
    for vertex in graph.vertices:
        if id(vertex) in inner:
            continue
        inputs, merges = _expanded(vertex, inner)
        if len(merges) < 2:
            rebuild.keep(vertex)
            continue
        metadata, _ = joined(merges)
        _, locations = joined(merges[::-1])  # the line of the whole comes first
        made = construct.merge([rebuild.edge(edge) for edge in inputs], metadata=metadata, locations=locations)
        assert made is not None  # a merge within a merge has inputs
        rebuild.put(vertex, made)
        if context.record is not None:
            context.record("flattened", merges, [made.vertex])
    return rebuild.graph(graph)


def _inner(graph: Graph) -> set[int]:
    """The merges that are to be taken out."""
    merges = [vertex for vertex in graph.vertices if isinstance(vertex.op, MergeOp)]
    if len(merges) < 2:
        return set()
    usage = Usage(graph)
    found: set[int] = set()
    for vertex in merges:
        user = usage.only_user(vertex)
        if user is not None and isinstance(user.op, MergeOp) and vertex.inputs and joinable(vertex, user):
            found.add(id(vertex))
    return found


def _expanded(vertex: Vertex, inner: set[int]) -> tuple[list[Edge], list[Vertex]]:
    """The inputs of a merge in order, with those of the merges in it; and all these merges, innermost first."""
    if not isinstance(vertex.op, MergeOp):
        return [], []
    merges = [vertex]
    inputs: list[Edge] = []
    stack = _inputs(vertex)
    while stack:
        edge = stack.pop()
        if id(edge.vertex) in inner:
            merges.append(edge.vertex)
            stack += _inputs(edge.vertex)
        else:
            inputs.append(edge)
    merges.reverse()
    return inputs, merges


def _inputs(vertex: Vertex) -> list[Edge]:
    """In reverse, for the stack."""
    assert isinstance(vertex.op, MergeOp)
    return [vertex.inputs[number] for number in reversed(vertex.op.inputs)]
