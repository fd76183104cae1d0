"""Makes a merge of file ops that do not depend on each other: each starts from nothing, instead of from the one before.

Safe only where it is known that nothing is there already: in a chain of file ops that starts from an empty tree. On
an image a destination may lead through a link, or be a directory where a file is copied to, and then the copy alone
would make something else. Ops are independent when none writes at, above or below a path of another, and directories
that both would create are created alike. What removes something, unpacks an archive, needs a directory that is not
made by itself, or looks into the tree (owners by name) depends on all before it. Trees that somebody else sees (another
step, a result, another target) stay.

It saves invalidations and time: the copies run at once, and a change in one repeats none of the others. There are as
many layers as before; in the history of an image they are called `merge`. Asked for by `-O2`.

    before   copy /app /app (Buildfile.py:4)  <-  copy /docs /docs (Buildfile.py:5)
    after    merge(copy /app /app, copy /docs /docs)
"""

from __future__ import annotations

from pybuild.llb import construct
from pybuild.llb.meta import Metadata
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.passes.filechain import FileChain, chain_of
from pybuild.passes.rebuild import Rebuild
from pybuild.passes.regions import Regions
from pybuild.passes.unite import STAGE, Usage, stage_of
from pybuild.protocols import PassContext


def copy_to_merge(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    chains = {id(vertex): chain for vertex in graph.vertices if (chain := chain_of(vertex)) is not None}
    split: dict[int, list[list[Vertex]]] = {}
    inner: set[int] = set()
    for run in _runs(graph, chains):
        groups = _independent(run, chains)
        if len(groups) > 1:
            split[id(run[-1])] = groups
            inner.update(id(vertex) for vertex in run[:-1])
    if not split:
        return graph
    rebuild = Rebuild()
    for vertex in graph.vertices:
        groups = split.get(id(vertex), [])
        if groups:
            merged = _merged(vertex, groups, chains, rebuild)
            rebuild.put(vertex, merged)
            if context.record is not None:
                context.record("merged", [v for group in groups for v in group], [merged.vertex])
        elif id(vertex) not in inner:
            rebuild.keep(vertex)
    return rebuild.graph(graph)


def _runs(graph: Graph, chains: dict[int, FileChain]) -> list[list[Vertex]]:
    """Chains of file ops from an empty tree, each op only used by the next."""
    if len(chains) < 2:
        return []
    usage = Usage(graph)
    runs: dict[int, list[Vertex]] = {}
    for vertex in graph.vertices:
        chain = chains.get(id(vertex))
        if chain is None:
            continue
        if chain.base is None:
            runs[id(vertex)] = [vertex]
            continue
        below = chain.base.vertex
        if id(below) in runs and usage.only_user(below) is vertex and _alike(below, vertex) and not chain.reads_base:
            run = runs.pop(id(below))
            run.append(vertex)
            runs[id(vertex)] = run
    return [run for run in runs.values() if len(run) > 1]


def _alike(one: Vertex, other: Vertex) -> bool:
    return one.constraints == other.constraints and stage_of(one) == stage_of(other)


def _independent(run: list[Vertex], chains: dict[int, FileChain]) -> list[list[Vertex]]:
    """`run` in groups that do not depend on each other; within a group, and among their first ops, in order."""
    regions = Regions()
    numbers = [regions.add([action for action, _ in chains[id(vertex)].actions]) for vertex in run]
    groups: dict[int, list[Vertex]] = {}
    for vertex, number in zip(run, numbers, strict=True):
        groups.setdefault(regions.group(number), []).append(vertex)
    return list(groups.values())


def _merged(last: Vertex, groups: list[list[Vertex]], chains: dict[int, FileChain], rebuild: Rebuild) -> Edge:
    tops: list[Edge] = []
    for group in groups:
        top: Edge | None = None
        for vertex in group:
            actions = [
                (action, None if edge is None else rebuild.edge(edge)) for action, edge in chains[id(vertex)].actions
            ]
            top = Edge(
                construct.file(
                    top,
                    actions,
                    constraints=vertex.constraints,
                    metadata=vertex.metadata,
                    locations=vertex.locations,
                )
            )
        assert top is not None
        tops.append(top)
    stage = stage_of(last)
    metadata = Metadata(description=((STAGE, stage),) if stage else (), progress_group=last.metadata.progress_group)
    merged = construct.merge(tops, metadata=metadata, locations=last.locations)
    assert merged is not None
    return merged
