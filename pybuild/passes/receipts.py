"""Receipts: what a pass did to which vertices, and what that saves.

Passes that take vertices out or put new ones in say so themselves (`PassContext.record`); what passes do to single
vertices is read off the graphs before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import attrs

from pybuild.llb.ops import DiffOp, ExecOp, FileOp, MergeOp, SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import primary_input
from pybuild.passes.contextuse import Uses, limits_of, uses_of
from pybuild.values import Value


@attrs.frozen(kw_only=True, eq=False)
class Change:
    """One thing that a pass did: `before` are the vertices it did it to, `after` those that stand for them."""

    what: str
    before: tuple[Vertex, ...]
    after: tuple[Vertex, ...]


@attrs.frozen(kw_only=True)
class Measure(Value):
    """What a graph costs.

    `layers`: those that its steps put on the base of the result; of a diff of unrelated trees, one.
    `invalidations`: for each path that is used of a local directory, and once for all the rest of it, how many exec
    and file steps stand on a source that holds it, summed up: the steps that a change there does not leave in the
    cache by their definition alone.
    """

    vertices: int
    layers: int
    invalidations: int


@attrs.frozen(kw_only=True, eq=False, slots=False)
class PassReport:
    """What one pass did. `duration` is in seconds."""

    name: str
    graph_before: Graph
    graph_after: Graph
    changes: tuple[Change, ...]
    duration: float

    @property
    def changed(self) -> bool:
        """Whether it did anything."""
        return self.graph_after is not self.graph_before

    @cached_property
    def before(self) -> Measure:
        """What the graph cost before."""
        return measure(self.graph_before)

    @cached_property
    def after(self) -> Measure:
        """What the graph costs now."""
        return measure(self.graph_after) if self.changed else self.before


class Receipts:
    """Collects what one pass does."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def record(self, what: str, before: Sequence[Vertex], after: Sequence[Vertex]) -> None:
        """See `PassContext.record`."""
        self._changes.append(Change(what=what, before=tuple(before), after=tuple(after)))

    def report(self, name: str, before: Graph, after: Graph, duration: float) -> PassReport:
        """The report of a pass that made `after` of `before`."""
        changes = self._changes
        if not changes and after is not before and len(after) == len(before):
            changes = _single_changes(before, after)
        return PassReport(name=name, graph_before=before, graph_after=after, changes=tuple(changes), duration=duration)


def _single_changes(before: Graph, after: Graph) -> list[Change]:
    """What was changed in vertices themselves, not only below them."""
    return [
        Change(what=_words(old, new), before=(old,), after=(new,))
        for old, new in zip(before.vertices, after.vertices, strict=True)
        if old.op is not new.op or old.constraints is not new.constraints
    ]


def _words(old: Vertex, new: Vertex) -> str:
    if old.constraints.platform != new.constraints.platform:
        return f"is for {new.constraints.platform}"
    if isinstance(new.op, SourceOp) and isinstance(old.op, SourceOp):
        if new.op.identifier != old.op.identifier:
            return f"is {new.op.identifier.rpartition('@')[2]}"
        return f"limited to {', '.join(limits_of(new))}"
    return "completed from its image"


def measure(graph: Graph) -> Measure:
    """What a graph costs."""
    head = graph.heads[0] if graph.heads else None
    return Measure(
        vertices=len(graph),
        layers=0 if head is None else _layers(graph, head),
        invalidations=_invalidations(graph),
    )


def _layers(graph: Graph, head: Edge) -> int:
    counts: dict[tuple[int, int], int] = {}

    def known(edge: Edge | None) -> int:
        return 0 if edge is None else counts.get((id(edge.vertex), int(edge.output)), 0)

    used = {(id(edge.vertex), int(edge.output)): edge for vertex in graph.vertices for edge in vertex.inputs}
    used[id(head.vertex), int(head.output)] = head
    outputs: dict[int, list[Edge]] = {}
    for edge in used.values():
        outputs.setdefault(id(edge.vertex), []).append(edge)
    for vertex in graph.vertices:
        op = vertex.op
        for edge in outputs.get(id(vertex), ()):
            if isinstance(op, MergeOp):
                count = sum(known(vertex.inputs[number]) for number in op.inputs)
            elif isinstance(op, DiffOp):
                lower = known(vertex.inputs[op.lower]) if op.lower >= 0 else 0
                upper = known(vertex.inputs[op.upper]) if op.upper >= 0 else 0
                count = max(1, upper - lower)
            else:
                count = known(primary_input(edge)) + isinstance(op, ExecOp | FileOp)
            counts[id(vertex), int(edge.output)] = count
    return known(head)


def _invalidations(graph: Graph) -> int:
    """What can change in each directory are bits, which rise from its sources to whatever stands above them."""
    sources = [vertex for vertex in graph.vertices if isinstance(vertex.op, SourceOp) and vertex.op.scheme == "local"]
    if not sources:
        return 0
    bits = _source_bits(sources, uses_of(graph, sources))
    total = 0
    for vertex in graph.vertices:
        if not isinstance(vertex.op, SourceOp):
            risen = 0
            for edge in vertex.inputs:
                risen |= bits.get(id(edge.vertex), 0)
            bits[id(vertex)] = risen
            total += risen.bit_count() if isinstance(vertex.op, ExecOp | FileOp) else 0  # the others cost nothing
    return total


def _source_bits(sources: Sequence[Vertex], uses: Uses) -> dict[int, int]:
    """For each source (by `id`) which of the paths used of its directory it holds, and whether also all the rest."""
    directories: dict[tuple[str, str], dict[str, int]] = {}
    for source in sources:
        paths = directories.setdefault(_directory(source), {"": 1 << len(directories)})
        for _, used in uses[id(source)]:
            paths.update((path, 0) for path in used if path not in paths)
    first = len(directories)
    below: dict[tuple[str, str], dict[str, int]] = {}
    for directory, paths in directories.items():
        tree = below.setdefault(directory, {})
        for path in paths:
            if path:
                paths[path] = 1 << first
                first += 1
            for above in ("", *_ancestors(path)):
                tree[above] = tree.get(above, 0) | paths[path]
    found: dict[int, int] = {}
    for source in sources:
        paths, tree = directories[_directory(source)], below[_directory(source)]
        held = 0
        for path in limits_of(source):
            held |= tree.get(path, 0)
            for above in _ancestors(path):
                held |= paths.get(above, 0)
        found[id(source)] = held
    return found


def _directory(source: Vertex) -> tuple[str, str]:
    return source.name, source.metadata.local_dir


def _ancestors(path: str) -> list[str]:
    """`path` and the directories that lead to it, all but the root."""
    parts = path.split("/") if path else []
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
