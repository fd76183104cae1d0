"""Limits local directories to the paths that the graph uses of them.

Safe because nothing else of the directory can reach a result: what is used is named by copies and mounts. Sources that
have include patterns, and those of which everything is used, stay as they are. Mirrors BuildKit's Dockerfile frontend
(frontend/dockerfile/dockerfile2llb/convert.go, `ctxPaths`), which sends only what COPY, ADD and RUN --mount name.

    before   local://context                 <- copy go.mod, copy src
    after    local://context [go.mod, src]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from posixpath import normpath

from pybuild.llb.files import CopyAction
from pybuild.llb.mounts import BindMount, CacheMount
from pybuild.llb.ops import ExecOp, FileOp, SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import consumers, rewrite
from pybuild.protocols import PassContext

FOLLOW_PATHS = "local.followpaths"
_INCLUDE = "local.includepattern"


def narrow_context(graph: Graph, _context: PassContext, /) -> Graph:
    """Run the pass."""
    users = consumers(graph)
    heads = {id(edge.vertex) for edge in graph.heads if edge is not None}
    wanted: dict[int, list[str]] = {}
    for vertex in graph.vertices:
        op = vertex.op
        if not isinstance(op, SourceOp) or op.scheme != "local" or id(vertex) in heads:
            continue
        if {_INCLUDE, FOLLOW_PATHS} & dict(op.attrs).keys():
            continue
        paths = {path for user, number in users[id(vertex)] for path in _used(user, number)}
        if paths and "" not in paths:
            wanted[id(vertex)] = sorted(paths)
    if not wanted:
        return graph

    def narrow(vertex: Vertex) -> Vertex:
        paths = wanted.get(id(vertex))
        if paths is None or not isinstance(vertex.op, SourceOp):
            return vertex
        attrs = {**dict(vertex.op.attrs), FOLLOW_PATHS: _go_json(paths)}
        return vertex.replace(op=vertex.op.replace(attrs=tuple(sorted(attrs.items()))))

    return rewrite(graph, narrow)


def _used(user: Vertex, number: int) -> Iterator[str]:
    """The paths that a vertex uses of its input `number`, relative; "" is all of it."""
    op = user.op
    if isinstance(op, FileOp):
        for action in op.actions:
            if action.input == number:
                yield ""
            if isinstance(action, CopyAction) and action.secondary_input == number:
                yield _relative(action.source)
        return
    if isinstance(op, ExecOp):
        for mount in op.mounts:
            if isinstance(mount, BindMount | CacheMount) and mount.input == number:
                yield _relative(mount.selector)
        return
    yield ""


def _relative(path: str) -> str:
    cleaned = normpath("/" + path).lstrip("/")
    return "" if cleaned == "." else cleaned


def _go_json(items: list[str]) -> str:
    """A list as Go's json.Marshal writes it: the text is part of the digest."""
    text = json.dumps(items, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
