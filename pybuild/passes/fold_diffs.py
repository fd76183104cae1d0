"""Takes out diffs that change nothing: of a tree and itself, and those laid right on what they were taken from.

Safe because the diff of a tree and one that grew out of it is exactly the layers in between: laid on the lower tree
they are the upper one again. What grew out of what is read off the steps (see growth.py). The layers stay the same;
what stands for the steps that are left out takes their locations. A diff with `ignore_cache` stays.

    before   merge(alpine, diff(alpine, app), docs)     merge(app, diff(alpine, alpine))
    after    merge(app, docs)                           app

where `app` grew out of `alpine`.
"""

from __future__ import annotations

from pybuild.llb import construct
from pybuild.llb.ops import DiffOp, MergeOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.location import Location
from pybuild.passes.growth import Growth, key_of
from pybuild.passes.rebuild import Rebuild
from pybuild.protocols import PassContext


def fold_diffs(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    if not any(isinstance(vertex.op, DiffOp) for vertex in graph.vertices):
        return graph
    folding = _Folding(graph, context)
    for vertex in graph.vertices:
        folding.take(vertex)
    return folding.graph(graph) if folding.changed else graph


class _Folding:
    """The graph being rebuilt; everything is decided on what is built already, so that one run finds all."""

    def __init__(self, graph: Graph, context: PassContext) -> None:
        self.changed = False
        self._record = context.record
        self._rebuild = Rebuild()
        self._growth = Growth()
        self._places: dict[str, list[Location]] = {}
        self._empty: Edge | None = None
        self._can_be_empty = _only_in_merges_and_diffs(graph)

    def take(self, vertex: Vertex) -> None:
        """Put in what stands for a vertex; those of its inputs are in already."""
        op = vertex.op
        if isinstance(op, MergeOp) and not vertex.metadata.decides_when_to_run:
            self._merge(vertex, op)
        elif isinstance(op, DiffOp) and op.lower >= 0 and not vertex.metadata.decides_when_to_run:
            self._diff(vertex, op)
        else:
            self._rebuild.keep(vertex)

    def graph(self, old: Graph) -> Graph:
        """The new graph, with the locations of what was folded on what stands for it."""

        def placed(vertex: Vertex) -> Vertex:
            places = self._places.get(vertex.digest)
            return vertex.replace(locations=tuple(dict.fromkeys((*vertex.locations, *places)))) if places else vertex

        return rewrite(self._rebuild.graph(old), placed)

    def _diff(self, vertex: Vertex, op: DiffOp) -> None:
        lower = self._rebuild.tree(vertex.inputs[op.lower])
        upper = self._rebuild.tree(vertex.inputs[op.upper]) if op.upper >= 0 else None
        if lower is None and (upper is not None or id(vertex) in self._can_be_empty):
            self._stand(vertex, upper, [vertex])
        elif lower is None:
            self._stand(vertex, self._empty, [vertex])
        elif upper is not None and key_of(lower) == key_of(upper) and id(vertex) in self._can_be_empty:
            self._empty = self._empty or Edge(vertex.replace(inputs=[self._rebuild.edge(e) for e in vertex.inputs]))
            self._stand(vertex, None, [vertex])
        else:
            self._rebuild.keep(vertex)

    def _merge(self, vertex: Vertex, op: MergeOp) -> None:
        kept: list[Edge] = []
        folded: list[Vertex] = []
        for old in (vertex.inputs[number] for number in op.inputs):
            tree = self._rebuild.tree(old)
            upper = self._upper(kept[-1], tree) if kept and tree is not None else None
            if tree is None:
                folded.append(old.vertex)
            elif upper is not None:
                folded.append(tree.vertex)
                kept[-1] = upper
            else:
                kept.append(tree)
        if not folded:
            self._rebuild.keep(vertex)
            return
        if not kept and id(vertex) not in self._can_be_empty:
            assert self._empty is not None  # all inputs are empty, so one was found
            kept = [self._empty]
        self._stand(vertex, construct.merge(kept, metadata=vertex.metadata), [*folded, vertex])

    def _upper(self, below: Edge, diff: Edge) -> Edge | None:
        """The tree that `diff` makes of `below`, when the diff was taken from just that."""
        op = diff.vertex.op
        if not isinstance(op, DiffOp) or op.lower < 0 or op.upper < 0 or diff.vertex.metadata.decides_when_to_run:
            return None
        lower, upper = diff.vertex.inputs[op.lower], diff.vertex.inputs[op.upper]
        if key_of(below) != key_of(lower):
            return None
        return upper if self._growth.out_of(upper, lower) else None

    def _stand(self, vertex: Vertex, target: Edge | None, gone: list[Vertex]) -> None:
        self.changed = True
        self._rebuild.put(vertex, target)
        if target is not None:
            # What was folded into one of these before goes on with it.
            places = [p for old in gone for p in (*old.locations, *self._places.get(old.digest, ()))]
            self._places.setdefault(target.vertex.digest, []).extend(places)
        if self._record is not None:
            self._record("folded" if target else "changes nothing", gone, [target.vertex] if target else [])


def _only_in_merges_and_diffs(graph: Graph) -> set[int]:
    """Vertices that only merges use, results, and diffs to take from: all others need a tree, even an empty one."""
    found = {id(vertex) for vertex in graph.vertices}
    for vertex in graph.vertices:
        if vertex.metadata.decides_when_to_run:
            found.difference_update(id(edge.vertex) for edge in vertex.inputs)  # it stays as it is
        elif isinstance(vertex.op, DiffOp):
            if vertex.op.upper >= 0:
                found.discard(id(vertex.inputs[vertex.op.upper].vertex))
        elif not isinstance(vertex.op, MergeOp):
            found.difference_update(id(edge.vertex) for edge in vertex.inputs)
    return found
