"""Compares what two engines made of one graph: files, config, and which steps a second build ran again.

Compared of every path: kind, mode, owner, content, link target, extended attributes; and the time of what was copied
from a source, which keeps its own. Times of other files are when they were made, so they always differ. Of the config
everything but times and the ids of layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from pybuild.llb.files import CopyAction, MkdirAction, MkfileAction
from pybuild.llb.ops import FileOp, SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import primary_input
from pybuild.protocols import SolveResult
from pybuild.verify.imagefiles import File, ImageFiles
from pybuild.verify.verdict import Comparison, Difference

_NOTHING: Final[Mapping[str, Any]] = {}
_UMASK: Final = 0o022

DOCKER_UMASK: Final = "a Docker Engine's own umask applies to directories and files that a step only names"
MERGED: Final = "a merge has the layers of all that it merges, and engines name them differently"
_COPIED_SCHEMES: Final = ("local", "git", "http", "https")


@attrs.frozen(kw_only=True)
class Outcome:
    """What one engine made.

    Attributes:
        engine: its name, for people.
        docker: it is a Docker Engine.
        first: the build; None where the engine's own frontend made the graph, whose steps are not known here.
        image: what the build exported.
        again: the second build of the same.
    """

    engine: str
    docker: bool
    first: SolveResult | None
    image: ImageFiles
    again: SolveResult | None


def compare(left: Outcome, right: Outcome) -> Comparison:
    """Everything in which two outcomes differ; the first one's graph says which step made what."""
    graph = left.first.graph if left.first is not None else Graph([])
    makers = _Makers(graph, left.image.layers)
    found = [
        *_files(left, right, makers),
        *_config(left.image.config, right.image.config),
        *_cache(left, right),
    ]
    ordered = sorted(found, key=lambda item: (item.location is None, item.what))
    return Comparison(
        left=left.engine,
        right=right.engine,
        paths=len(left.image.files.keys() | right.image.files.keys()),
        steps=len(graph),
        differences=tuple(item for item in ordered if not item.explained),
        explained=tuple(item for item in ordered if item.explained),
    )


class _Makers:
    """Which step made which layer of an image."""

    def __init__(self, graph: Graph, layers: int) -> None:
        chain: list[Vertex] = []
        current: Edge | None = graph.heads[0] if graph.heads else None
        self._head = current.vertex if current is not None else None
        while current is not None and not isinstance(current.vertex.op, SourceOp):
            chain.append(current.vertex)
            current = primary_input(current)
        self._chain = chain[::-1]
        self._base = layers - len(chain)
        self._source = current.vertex if current is not None else None
        self._whole = self._base > 0 if current is not None else self._base == 0

    def of(self, layer: int) -> Vertex | None:
        """The step that made the layer of that number: the last step when layers and steps are not one to one."""
        if not self._whole:
            return self._head
        number = layer - self._base
        return self._source if number < 0 else self._chain[number]


def _files(left: Outcome, right: Outcome, makers: _Makers) -> Iterator[Difference]:
    for path in sorted(left.image.files.keys() | right.image.files.keys()):
        one, other = left.image.files.get(path), right.image.files.get(path)
        there = one or other
        assert there is not None
        maker = makers.of(there.layer)
        for aspect, before, after in _aspects(one, other, maker):
            yield Difference(
                what=path,
                aspect=aspect,
                left=before,
                right=after,
                step=maker.name if maker is not None else "",
                location=maker.locations[0] if maker is not None and maker.locations else None,
                explained=_explanation(aspect, one, other, maker, left, right),
            )


def _aspects(one: File | None, other: File | None, maker: Vertex | None) -> Iterator[tuple[str, str, str]]:
    if one is None or other is None:
        yield "presence", "absent" if one is None else one.kind, "absent" if other is None else other.kind
        return
    if one.kind != other.kind:
        yield "kind", one.kind, other.kind
        return
    if one.mode != other.mode:
        yield "mode", f"{one.mode:04o}", f"{other.mode:04o}"
    if (one.uid, one.gid) != (other.uid, other.gid):
        yield "owner", f"{one.uid}:{one.gid}", f"{other.uid}:{other.gid}"
    if one.content != other.content:
        yield "content", f"{one.size} bytes {one.content[:12]}", f"{other.size} bytes {other.content[:12]}"
    if one.link != other.link:
        yield "link", one.link or "none", other.link or "none"
    if one.device != other.device:
        yield "device", str(one.device), str(other.device)
    if one.xattrs != other.xattrs:
        yield "xattrs", str(dict(one.xattrs)), str(dict(other.xattrs))
    if one.mtime != other.mtime and one.kind == "file" and _keeps_times(maker):
        yield "time", str(one.mtime), str(other.mtime)


def _keeps_times(maker: Vertex | None) -> bool:
    """Whether a step gives files the times of a source: it copies from sources, and does nothing else."""
    if maker is None or not isinstance(maker.op, FileOp):
        return False
    for action in maker.op.actions:
        if not isinstance(action, CopyAction) or action.timestamp >= 0 or action.attempt_unpack:
            return False
        if not 0 <= action.secondary_input < len(maker.inputs):
            return False
        source = maker.inputs[action.secondary_input].vertex.op
        if not isinstance(source, SourceOp) or source.scheme not in _COPIED_SCHEMES:
            return False
    return True


def _explanation(
    aspect: str, one: File | None, other: File | None, maker: Vertex | None, left: Outcome, right: Outcome
) -> str:
    if aspect != "mode" or one is None or other is None or maker is None or not isinstance(maker.op, FileOp):
        return ""
    named = any(isinstance(action, MkdirAction | MkfileAction) for action in maker.op.actions)
    masked = (right.docker and one.mode & ~_UMASK == other.mode) or (left.docker and other.mode & ~_UMASK == one.mode)
    return DOCKER_UMASK if named and masked else ""


def _config(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Difference]:
    for name in ("architecture", "os", "variant"):
        yield from _value(name, left.get(name), right.get(name))
    one: Mapping[str, Any] = left.get("config") or _NOTHING
    other: Mapping[str, Any] = right.get("config") or _NOTHING
    for name in sorted({*one, *other}):
        yield from _value(f"config.{name}", one.get(name), other.get(name))
    ours: Sequence[Mapping[str, Any]] = left.get("history") or ()
    theirs: Sequence[Mapping[str, Any]] = right.get("history") or ()
    yield from _value("history", f"{len(ours)} entries", f"{len(theirs)} entries")
    for number, (mine, its) in enumerate(zip(ours, theirs, strict=False)):
        made = str(mine.get("created_by")), str(its.get("created_by"))
        reason = MERGED if any(text.startswith("merge") for text in made) else ""
        yield from _value(f"history[{number}].created_by", *made, reason)
        yield from _value(f"history[{number}].empty_layer", mine.get("empty_layer"), its.get("empty_layer"))


def _value(what: str, left: object, right: object, explained: str = "") -> Iterator[Difference]:
    if (left or None) != (right or None):
        yield Difference(what=what, aspect="value", left=str(left), right=str(right), explained=explained)


def _cache(left: Outcome, right: Outcome) -> Iterator[Difference]:
    """Steps that ran again in the second build of one engine only; sources are looked at every time."""
    if left.again is None or right.again is None:
        return
    one, other = _ran(left.again), _ran(right.again)
    for name in sorted({*one} ^ {*other}):
        vertex = one.get(name) or other.get(name)
        assert vertex is not None
        yield Difference(
            what=f"cache: {name}",
            aspect="second build",
            left="ran it" if name in one else "reused it",
            right="ran it" if name in other else "reused it",
            step=name,
            location=vertex.locations[0] if vertex.locations else None,
        )


def _ran(result: SolveResult) -> dict[str, Vertex]:
    states = {step.digest: step.state for step in result.steps}
    return {
        vertex.name: vertex
        for vertex in result.graph.vertices
        if not isinstance(vertex.op, SourceOp) and states.get(vertex.digest) == "done"
    }
