"""One build for several platforms: the graph that makes all of them.

Every head is fitted to its platform by the passes on its own, and what comes out equal is one vertex: a stage that is
pinned to the build platform, and knows nothing of what it builds for, runs once. As BuildKit, whose clients send one
definition per platform and whose solver merges what is equal (frontend/dockerui/build.go, solver/jobs.go).
"""

from __future__ import annotations

from pybuild.llb.vertex import Graph
from pybuild.passes.dedupe import dedupe
from pybuild.passes.pipeline import passes_named, run_passes
from pybuild.platform import Platform
from pybuild.protocols import MetadataResolver, PassContext, SolveRequest


def fitted(request: SolveRequest, resolver: MetadataResolver, graph: Graph | None = None) -> Graph:
    """The graph of a request after the passes, its heads in the same order.

    Args:
        request: what to build.
        resolver: looks images up.
        graph: what to fit in place of the request's own graph.

    Raises:
        SourceFetchError: an image cannot be looked up.
    """
    graph = request.graph if graph is None else graph
    passes = passes_named(request.passes)

    def fit(graph: Graph, platform: Platform) -> Graph:
        return run_passes(graph, PassContext(platform=platform, resolver=resolver, squash=request.squash), passes)

    if not request.further:
        return fit(graph, request.platform)
    heads = [
        fit(Graph([head]), variant.platform).heads[0]
        for head, variant in zip(graph.heads, request.variants, strict=True)
    ]
    return dedupe(Graph(heads), PassContext(platform=request.platform, resolver=resolver))
