"""Limits local directories to the paths that the graph uses of them.

Safe because nothing else of the directory can reach a result: what is used is named by copies and mounts. Sources that
have include patterns or paths, and those of which everything is used, stay as they are; those that ask for it are split
by use first (as split_context does with all). Mirrors BuildKit's Dockerfile
frontend (frontend/dockerfile/dockerfile2llb/convert.go, `ctxPaths`), which sends only what COPY, ADD and RUN --mount
name.

    before   local://context                 <- copy go.mod, copy src
    after    local://context [go.mod, src]
"""

from __future__ import annotations

from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.passes.contextuse import FOLLOW_PATHS, limited, local_sources, uses_of
from pybuild.passes.split_context import split
from pybuild.protocols import PassContext


def narrow_context(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    sources = local_sources(graph)
    if not sources:
        return graph
    apart = [source for source in sources if source.metadata.split_uses]
    if apart:
        graph = split(graph, context, apart)
        sources = local_sources(graph)
    uses = uses_of(graph, sources)
    wanted = {source: frozenset[str]().union(*(paths for _, paths in users)) for source, users in uses.items()}

    def narrow(vertex: Vertex) -> Vertex:
        paths = wanted.get(id(vertex))
        return limited(vertex, paths) if paths and "" not in paths else vertex

    return rewrite(graph, narrow)


__all__ = ["FOLLOW_PATHS", "narrow_context"]
