"""Which platform each vertex is for.

A vertex that names a platform keeps it as it is. An exec that names none takes the one of what it works on, normalized:
that of the image with an explicit platform from which its root file system descends. Everything else is for the
platform of the build. Mirrors client/llb/{state,exec,marshal}.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from pybuild.llb.mounts import BindMount
from pybuild.llb.ops import BuildOp, ExecOp, PassthroughOp, SourceOp
from pybuild.llb.vertex import Edge, OutputIndex, Vertex
from pybuild.llb.walk import primary_input
from pybuild.platform import Platform, normalize

_SCHEMES = frozenset({"docker-image", "oci-layout"})


def takes_platform(vertex: Vertex) -> bool:
    """Whether the wire form of this vertex carries a platform."""
    op = vertex.op
    return isinstance(op, ExecOp | BuildOp) or (isinstance(op, SourceOp) and op.scheme in _SCHEMES)


def platforms_of(vertices: Iterable[Vertex], default: Platform) -> dict[int, Platform]:
    """The platforms of those of `vertices` that take one, by `id`.

    Args:
        vertices: in topological order, as `Graph.vertices` is.
        default: the platform of the build.
    """
    found: dict[int, Platform] = {}
    inherited: dict[tuple[int, int], Platform] = {}
    for vertex in vertices:
        own = vertex.constraints.platform
        if takes_platform(vertex):
            chosen = own
            if chosen is None and isinstance(vertex.op, ExecOp) and inherited:
                chosen = _below(vertex, 0, inherited)
            found[id(vertex)] = chosen or default
        if own is not None or inherited:
            _pass_on(vertex, own, inherited)
    return found


def _pass_on(vertex: Vertex, own: Platform | None, inherited: dict[tuple[int, int], Platform]) -> None:
    """Note what is inherited by those that work on the outputs of `vertex`."""
    op = vertex.op
    outputs = {0}
    if isinstance(op, ExecOp):
        outputs |= {mount.output for mount in op.mounts if isinstance(mount, BindMount) and mount.output > 0}
    elif isinstance(op, PassthroughOp):
        outputs = set(range(len(op.outputs)))
    for output in outputs:
        platform = normalize(own) if own is not None and takes_platform(vertex) else _below(vertex, output, inherited)
        if platform is not None:
            inherited[id(vertex), output] = platform


def _below(vertex: Vertex, output: int, inherited: dict[tuple[int, int], Platform]) -> Platform | None:
    edge = primary_input(Edge(vertex, OutputIndex(output)))
    return None if edge is None else inherited.get((id(edge.vertex), edge.output))
