"""Gives exec, build and image source vertices without a platform the one that they are for.

Safe because a vertex without a platform means just this: an exec is for what its base image is explicitly for, and
everything else for whatever the build is for. Ops that do not depend on a platform (files, merges, local directories)
never get one, so they are shared between platforms. Mirrors what BuildKit's client does when it marshals
(client/llb/marshal.go, `MarshalConstraints`).

    before   docker-image://docker.io/library/alpine:latest
    after    docker-image://docker.io/library/alpine:latest  [linux/arm64]
"""

from __future__ import annotations

from pybuild.llb.platforms import platforms_of
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.protocols import PassContext


def bind_platform(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    found = platforms_of(graph.vertices, context.platform)
    if all(vertex.constraints.platform is not None for vertex in graph.vertices if id(vertex) in found):
        return graph
    platforms = iter([found.get(id(vertex)) for vertex in graph.vertices])  # in the order in which `rewrite` goes

    def change(vertex: Vertex) -> Vertex:
        platform = next(platforms)
        if platform is None or vertex.constraints.platform is not None:
            return vertex
        return vertex.replace(constraints=vertex.constraints.replace(platform=platform))

    return rewrite(graph, change)
