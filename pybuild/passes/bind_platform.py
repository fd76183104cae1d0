"""Gives exec, build and image source vertices without a platform that of the build.

Safe because a vertex without a platform means just this: whatever the build is for. Ops that do not depend on a
platform (files, merges, local directories) never get one, so they are shared between platforms. Mirrors what
BuildKit's client does when it marshals (client/llb/marshal.go, `MarshalConstraints`).

    before   docker-image://docker.io/library/alpine:latest
    after    docker-image://docker.io/library/alpine:latest  [linux/arm64]
"""

from __future__ import annotations

from pybuild.llb.ops import BuildOp, ExecOp, SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.protocols import PassContext

_PLATFORM_SCHEMES = frozenset({"docker-image", "oci-layout"})


def bind_platform(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""

    def change(vertex: Vertex) -> Vertex:
        if vertex.constraints.platform is not None or not takes_platform(vertex):
            return vertex
        return vertex.replace(constraints=vertex.constraints.replace(platform=context.platform))

    return rewrite(graph, change)


def takes_platform(vertex: Vertex) -> bool:
    """Whether the wire form of this vertex carries a platform."""
    op = vertex.op
    return isinstance(op, ExecOp | BuildOp) or (isinstance(op, SourceOp) and op.scheme in _PLATFORM_SCHEMES)
