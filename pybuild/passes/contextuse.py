"""What steps use of local directories, and local sources limited to that: for the passes about contexts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from posixpath import normpath

from pybuild.llb.files import CopyAction
from pybuild.llb.mounts import NO_OUTPUT, BindMount, CacheMount
from pybuild.llb.ops import ExecOp, FileOp, SourceOp
from pybuild.llb.vertex import Graph, Vertex

FOLLOW_PATHS = "local.followpaths"
INCLUDE = "local.includepattern"
_MAGIC = "*?[\\"

Paths = frozenset[str]
"""Relative paths of a directory; "" is all of it."""

Uses = dict[int, list[tuple[Vertex, Paths]]]
"""For each local source (by `id`) its users, and what each of them uses."""


def local_sources(graph: Graph) -> list[Vertex]:
    """The local sources that may be limited: neither results, nor limited to patterns already."""
    heads = {id(edge.vertex) for edge in graph.heads if edge is not None}
    return [
        vertex
        for vertex in graph.vertices
        if isinstance(vertex.op, SourceOp)
        and vertex.op.scheme == "local"
        and id(vertex) not in heads
        and not {INCLUDE, FOLLOW_PATHS} & dict(vertex.op.attrs).keys()
    ]


def uses_of(graph: Graph, sources: Sequence[Vertex]) -> Uses:
    """Who uses what of `sources`."""
    uses: Uses = {id(source): [] for source in sources}
    outputs = {(id(edge.vertex), int(edge.output)) for edge in graph.heads if edge is not None}
    outputs |= {(id(edge.vertex), int(edge.output)) for vertex in graph.vertices for edge in vertex.inputs}
    for vertex in graph.vertices:
        found: dict[int, set[str]] = {}
        for number, edge in enumerate(vertex.inputs):
            if id(edge.vertex) in uses:
                found.setdefault(id(edge.vertex), set()).update(_used(vertex, number, outputs))
        for source, paths in found.items():
            uses[source].append((vertex, frozenset(paths)))
    return uses


def limited(source: Vertex, paths: Paths) -> Vertex:
    """`source` limited to `paths`, with links followed."""
    assert isinstance(source.op, SourceOp)
    attrs = {**dict(source.op.attrs), FOLLOW_PATHS: _go_json(sorted(paths))}
    return source.replace(op=source.op.replace(attrs=tuple(sorted(attrs.items()))))


def limits_of(source: Vertex) -> list[str]:
    """The paths that a local source is limited to; [""] when it is the whole directory."""
    assert isinstance(source.op, SourceOp)
    text = dict(source.op.attrs).get(FOLLOW_PATHS, "")
    return [str(path) for path in json.loads(text)] if text else [""]


def _used(user: Vertex, number: int, outputs: set[tuple[int, int]]) -> Iterator[str]:
    op = user.op
    if isinstance(op, FileOp):
        for action in op.actions:
            if action.input == number:
                yield ""
            if isinstance(action, CopyAction) and action.secondary_input == number:
                yield from _copied(action)
    elif isinstance(op, ExecOp):
        for mount in op.mounts:
            if isinstance(mount, BindMount | CacheMount) and mount.input == number:
                # Whoever uses the tree after the step sees all of it, not only what was mounted.
                seen = isinstance(mount, BindMount) and mount.output != NO_OUTPUT
                whole = seen and (id(user), getattr(mount, "output", NO_OUTPUT)) in outputs
                yield "" if whole else _path(mount.selector, wildcard=False)
    else:
        yield ""


def _copied(action: CopyAction) -> Iterator[str]:
    """What a copy reads: of a directory, only what its include patterns may match."""
    patterns = action.include_patterns
    if any(pattern.startswith("!") for pattern in patterns) or not patterns:
        yield _path(action.source, wildcard=action.allow_wildcard)
    else:
        yield from (_path(f"{action.source}/{pattern}", wildcard=True) for pattern in patterns)


def _path(path: str, *, wildcard: bool) -> str:
    """A path as the source's patterns take it; "" where they would take it for something else."""
    if not wildcard and any(character in path for character in _MAGIC):
        return ""
    cleaned = normpath("/" + path).lstrip("/")
    return "" if cleaned == "." else cleaned


def _go_json(items: list[str]) -> str:
    """A list as Go's json.Marshal writes it: the text is part of the digest."""
    text = json.dumps(items, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
