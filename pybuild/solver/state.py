"""The solver's view of one vertex while a build goes on, and the graph of them.

`Job` holds, for one build, a `Step` per vertex in topological order: its cache map, which outputs somebody needs,
which result keys were found, and why it has to run. Planning fills it in; the scheduler works it off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.solver.cachemap import CacheMap, cache_map

if TYPE_CHECKING:
    from pybuild.remotecache.imports import Records, RemoteResult

State = Literal["source", "cached", "run", "maybe"]


@attrs.define(kw_only=True, eq=False)
class Step:
    """One vertex of a job.

    `keys` maps each needed output to the key of its result, once that is known: a source's own key, or the key of a
    stored result. `matched` says by what a cached step was found. `expected` are the keys that its results would have
    if it ran: what stands on it may be stored although its own result is not any more. `records` are what imported
    caches know it by, `remote` what they have of its results.
    """

    vertex: Vertex
    number: int
    inputs: tuple[tuple[Step, int], ...]
    cache_map: CacheMap | None
    needed: set[int] = attrs.field(factory=set[int])
    state: State = "run"
    keys: dict[int, str] = attrs.field(factory=dict[int, str])
    expected: dict[int, str] = attrs.field(factory=dict[int, str])
    matched: Literal["", "definition", "content", "import"] = ""
    reason: str = ""
    no_cache: bool = False
    records: dict[int, Records] = attrs.field(factory=dict[int, "Records"])
    remote: dict[int, RemoteResult] = attrs.field(factory=dict[int, "RemoteResult"])
    expired: bool = False
    """There is a result in the store, too old to be used again."""
    distrusted: bool = False
    """An imported result of it turned out to be damaged: what is imported is not asked again."""

    @property
    def is_source(self) -> bool:
        """Whether it brings content in rather than making it."""
        return self.cache_map is None

    @property
    def map(self) -> CacheMap:
        """The cache map of a step that is no source."""
        assert self.cache_map is not None
        return self.cache_map

    @property
    def ttl(self) -> float:
        """How many seconds a result of it may be used; 0 is for ever."""
        caching = self.vertex.metadata.caching
        return 0.0 if caching is None else caching.ttl_seconds

    @property
    def settled(self) -> bool:
        """Whether the keys of its results are known."""
        return self.state in ("source", "cached")

    def input_key(self, number: int) -> str | None:
        """The result key of input `number`, when known; the one that it would have, while it is not there."""
        step, output = self.inputs[number]
        return step.keys.get(output) or step.expected.get(output)


class Job:
    """All steps of one build.

    Args:
        graph: optimized and resolved.
        no_cache: names, digests or stages whose steps must run; ("*",) means all.
    """

    def __init__(self, graph: Graph, no_cache: tuple[str, ...] = ()) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        by_vertex: dict[int, Step] = {}
        for number, vertex in enumerate(graph.vertices):
            inputs = tuple((by_vertex[id(edge.vertex)], int(edge.output)) for edge in vertex.inputs)
            for step, output in inputs:
                step.needed.add(output)
            source = isinstance(vertex.op, SourceOp)
            step = Step(
                vertex=vertex,
                number=number,
                inputs=inputs,
                cache_map=None if source else cache_map(vertex),
                no_cache=not source and is_excluded(vertex, no_cache),
            )
            by_vertex[id(vertex)] = step
            self.steps.append(step)
        self.heads = [self._head(by_vertex, edge) for edge in graph.heads]

    @staticmethod
    def _head(by_vertex: dict[int, Step], edge: Edge | None) -> tuple[Step, int] | None:
        if edge is None:
            return None
        step = by_vertex[id(edge.vertex)]
        step.needed.add(int(edge.output))
        return step, int(edge.output)

    def to_run(self) -> list[Step]:
        """The steps that may have to run, inputs first: unsettled ones that a head needs through unsettled ones."""
        wanted: set[int] = set()
        stack = [head[0] for head in self.heads if head is not None and not head[0].settled]
        while stack:
            step = stack.pop()
            if step.number in wanted:
                continue
            wanted.add(step.number)
            stack += [below for below, _ in step.inputs if not below.settled and below.number not in wanted]
        return [self.steps[number] for number in sorted(wanted)]


def is_excluded(vertex: Vertex, no_cache: tuple[str, ...]) -> bool:
    """Whether a step must run, cached or not, because it or the build says so."""
    if vertex.metadata.ignore_cache or "*" in no_cache:
        return True
    if not no_cache:
        return False
    description = dict(vertex.metadata.description)
    names = {vertex.digest, vertex.name, description.get("pybuild.stage", "")}
    lowered = {name.lower() for name in no_cache}
    return any(name and name.lower() in lowered for name in names)
