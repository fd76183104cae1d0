"""Makes several sources of a local directory of which different steps use different paths, one for each set of paths.

Safe because each step still finds what it names, and nothing else of the directory can reach a result (the reasoning
of narrow_context). Steps that use all of it keep the whole directory; steps that use the same paths share a source.
It saves invalidations: a changed file changes only the source that has it, so the other steps are found in the cache
by their definition, without a look at contents, and steps that write into what they mount are found at all. It costs
one look at the directory for each source, hence it is asked for by `-O2`.

    before   local://context [go.mod, src]   <- copy go.mod, copy src
    after    local://context [go.mod]        <- copy go.mod
             local://context [src]           <- copy src
"""

from __future__ import annotations

from collections.abc import Sequence

from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.passes.contextuse import Paths, limited, local_sources, uses_of
from pybuild.passes.rebuild import Rebuild
from pybuild.protocols import PassContext


def split_context(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    return split(graph, context, local_sources(graph))


def split(graph: Graph, context: PassContext, sources: Sequence[Vertex]) -> Graph:
    """Split some of the local sources of a graph."""
    parts = _parts(graph, sources)
    if not parts:
        return graph
    made: dict[tuple[int, Paths], Vertex] = {}
    after: dict[int, list[Vertex]] = {}
    rebuild = Rebuild()
    for vertex in graph.vertices:
        wanted = parts.get(id(vertex))
        if wanted is None:
            rebuild.keep(vertex)
            continue
        inputs: list[Edge] = []
        for edge in vertex.inputs:
            paths = wanted.get(id(edge.vertex))
            if paths is None:
                inputs.append(rebuild.edge(edge))
                continue
            key = (id(edge.vertex), paths)
            if key not in made:
                made[key] = limited(edge.vertex, paths)
                after.setdefault(id(edge.vertex), []).append(made[key])
            inputs.append(Edge(made[key], edge.output))
        rebuild.put(vertex, vertex.replace(inputs=inputs))
    if context.record is not None:
        for source in graph.vertices:
            if id(source) in after:
                context.record("split by use", [source], after[id(source)])
    return rebuild.graph(graph)


def _parts(graph: Graph, sources: Sequence[Vertex]) -> dict[int, dict[int, Paths]]:
    """For each step that gets sources of its own: which paths, by the source (both by `id`)."""
    parts: dict[int, dict[int, Paths]] = {}
    for source, users in uses_of(graph, sources).items() if sources else ():
        if len({paths for _, paths in users}) < 2:
            continue
        for user, paths in users:
            if "" not in paths:
                parts.setdefault(id(user), {})[source] = paths
    return parts
