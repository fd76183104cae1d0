"""Makes one file op of neighbouring file ops of which each is only used by the next.

Safe because a file op applies its actions one after the other to one tree, as the ops did. An op stays apart when
somebody else sees its tree (another step, a result, another target), when the next one looks into that tree (the name
of an owner is looked up in the base, which must then be the same one), and when the two differ in their constraints,
in `ignore_cache` or in how they are shown. It changes the result's layers, one for all of them, and therefore what is
cached: a change in one of the copies repeats all. Hence it is asked for by `-O2`.

    before   copy /a /a (Buildfile.py:4)  <-  copy /b /b (Buildfile.py:5)
    after    copy /a /a, copy /b /b (Buildfile.py:4, Buildfile.py:5)
"""

from __future__ import annotations

from pybuild.llb.files import FileAction
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.passes.filechain import FileChain, chain_of, file_of
from pybuild.passes.rebuild import Rebuild
from pybuild.passes.unite import Usage, joinable
from pybuild.protocols import PassContext


def fuse_files(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    chains = {id(vertex): chain for vertex in graph.vertices if (chain := chain_of(vertex)) is not None}
    runs = _runs(graph, chains)
    if not runs:
        return graph
    inner = {id(vertex) for run in runs.values() for vertex in run[:-1]}
    rebuild = Rebuild()
    for vertex in graph.vertices:
        run = runs.get(id(vertex))
        if run is not None:
            made = _fused(run, chains, rebuild)
            rebuild.put(vertex, made)
            if context.record is not None:
                context.record("fused", run, [made])
        elif id(vertex) not in inner:
            rebuild.keep(vertex)
    return rebuild.graph(graph)


def _runs(graph: Graph, chains: dict[int, FileChain]) -> dict[int, list[Vertex]]:
    """The vertices to fuse, by the last of them."""
    if len(chains) < 2:
        return {}
    usage = Usage(graph)
    runs: dict[int, list[Vertex]] = {}
    for vertex in graph.vertices:
        chain = chains.get(id(vertex))
        if chain is None or chain.base is None or chain.reads_base:
            continue
        below = chain.base.vertex
        if id(below) in chains and usage.only_user(below) is vertex and joinable(below, vertex):
            run = runs.pop(id(below), None) or [below]
            run.append(vertex)
            runs[id(vertex)] = run
    return runs


def _fused(run: list[Vertex], chains: dict[int, FileChain], rebuild: Rebuild) -> Vertex:
    base = chains[id(run[0])].base
    actions: list[tuple[FileAction, Edge | None]] = [
        (action, None if edge is None else rebuild.edge(edge))
        for vertex in run
        for action, edge in chains[id(vertex)].actions
    ]
    return file_of(None if base is None else rebuild.edge(base), actions, run)
