"""Compares what two engines made of one graph: files, config, layers, and which steps a second build ran again.

Compared of every path: kind, mode, owner, content, link target, extended attributes; and its time where a step says
it, or copied it from a source, whose files keep theirs. Times of other files are when they were made, so they always
differ. Of the config everything but times and the ids of layers; and how many layers there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from pybuild.llb.files import CopyAction, FileAction, MkdirAction, MkfileAction, RmAction
from pybuild.llb.ops import DiffOp, FileOp, MergeOp, SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import primary_input
from pybuild.verify.imagefiles import File, ImageFiles
from pybuild.verify.verdict import Comparison, Difference

_NOTHING: Final[Mapping[str, Any]] = {}
_UMASK: Final = 0o022

DOCKER_UMASK: Final = "a Docker Engine's own umask applies to directories and files that a step only names"
COPY_MODE: Final = "older BuildKits give directories that a copy creates mode 0755, whatever mode it is told"
MERGED: Final = "a merge has the layers of all that it merges, and engines name them differently"
OLD_TIME: Final = "a cached step has the times of when it ran, and content alone makes it cached; see --no-cache"
_COPIED_SCHEMES: Final = ("local", "http", "https")
_OWN_COMPARISON: Final = ("config", "history", "rootfs", "created")


@attrs.frozen(kw_only=True)
class Outcome:
    """What one engine made.

    Attributes:
        engine: its name, for people.
        docker: it is a Docker Engine.
        graph: what it solved; None where the engine's own frontend made the graph.
        image: what the build exported.
        cached: names of the steps that the first build found in the cache.
        ran: names of the steps that the second build of the same ran; None when there was none.
    """

    engine: str
    docker: bool
    graph: Graph | None
    image: ImageFiles
    cached: frozenset[str] = frozenset()
    ran: frozenset[str] | None = None


def compare(left: Outcome, right: Outcome) -> Comparison:
    """Everything in which two outcomes differ; the graph of the first that has one says which step made what."""
    graph, layers = _known_graph(left, right)
    makers = Makers(graph, layers)
    found = [
        *_files(left, right, makers),
        *_config(left.image.config, right.image.config, merged=makers.merged),
        *_value("layers", left.image.layers, right.image.layers),
        *_cache(left, right, graph),
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


def _known_graph(left: Outcome, right: Outcome) -> tuple[Graph, int]:
    for outcome in (left, right):
        if outcome.graph is not None:
            return outcome.graph, outcome.image.layers
    return Graph([]), 0


class Makers:
    """Which step made which layer of an image.

    Args:
        graph: what was solved, the image first among its heads.
        layers: how many layers the image has.

    Attributes:
        merged: the image is made of merges or differences, whose layers are not one to one with steps.
    """

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
        self.merged = any(isinstance(vertex.op, MergeOp | DiffOp) for vertex in chain)
        self._whole = not self.merged and (self._base > 0 if current is not None else self._base == 0)

    def of(self, layer: int) -> Vertex | None:
        """The step that made the layer of that number: the last step when layers and steps are not one to one."""
        if not self._whole:
            return self._head
        number = layer - self._base
        return self._source if number < 0 else self._chain[number]

    def others(self, maker: Vertex) -> Sequence[Edge]:
        """What else a step is made of, besides the step before it, whose layers are below."""
        if not self._whole:
            return maker.inputs
        place = self._chain.index(maker) if maker in self._chain else 0
        before = self._chain[place - 1] if place else self._source
        return [edge for edge in maker.inputs if before is None or edge.vertex is not before]


def _files(left: Outcome, right: Outcome, makers: Makers) -> Iterator[Difference]:
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
                explained=_explanation(aspect, one, other, maker, (left, right)),
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
    if one.mtime != other.mtime and _promises_time(one.kind, maker):
        yield "time", str(one.mtime), str(other.mtime)


def _promises_time(kind: str, maker: Vertex | None) -> bool:
    """Whether the time of what a step made is one it was told, or that of the source from which it was copied."""
    if maker is None or not isinstance(maker.op, FileOp):
        return False
    return all(_says_time(action, kind, maker) for action in maker.op.actions)


def _says_time(action: FileAction, kind: str, maker: Vertex) -> bool:
    match action:
        case RmAction():
            return True
        case CopyAction() if action.timestamp < 0:
            if kind != "file" or action.attempt_unpack or not 0 <= action.secondary_input < len(maker.inputs):
                return False
            source = maker.inputs[action.secondary_input].vertex.op
            return isinstance(source, SourceOp) and _has_times(source)
        case _:
            return action.timestamp >= 0 and kind == "file"


def _has_times(source: SourceOp) -> bool:
    """Whether the times of a source's files are its own: not those of when it was fetched, nor of an older download."""
    if any(name == "http.checksum" for name, _ in source.attrs):
        return False
    return source.scheme in _COPIED_SCHEMES or (source.scheme == "git" and ("git.mtime", "commit") in source.attrs)


def _explanation(
    aspect: str, one: File | None, other: File | None, maker: Vertex | None, outcomes: tuple[Outcome, Outcome]
) -> str:
    if one is None or other is None or maker is None or not isinstance(maker.op, FileOp):
        return ""
    if aspect == "time":
        return OLD_TIME if any(maker.name in outcome.cached for outcome in outcomes) else ""
    if aspect != "mode":
        return ""
    actions = maker.op.actions
    for outcome, its, elsewhere in zip(outcomes, (one, other), (other, one), strict=True):
        named = any(isinstance(action, MkdirAction | MkfileAction) for action in actions)
        if outcome.docker and named and elsewhere.mode & ~_UMASK == its.mode:
            return DOCKER_UMASK
        told = {action.mode for action in actions if isinstance(action, CopyAction)}
        if outcome.docker and its.kind == "directory" and its.mode == 0o755 and elsewhere.mode in told:
            return COPY_MODE
    return ""


def _config(left: Mapping[str, Any], right: Mapping[str, Any], *, merged: bool) -> Iterator[Difference]:
    for name in sorted(({*left, *right}) - {*_OWN_COMPARISON}):
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
        yield from _value(f"history[{number}].created_by", *made, MERGED if merged else "")
        for name in ("empty_layer", "author"):
            yield from _value(f"history[{number}].{name}", mine.get(name), its.get(name))


def _value(what: str, left: object, right: object, explained: str = "") -> Iterator[Difference]:
    if (left or None) != (right or None):
        yield Difference(what=what, aspect="value", left=str(left), right=str(right), explained=explained)


def _cache(left: Outcome, right: Outcome, graph: Graph) -> Iterator[Difference]:
    """Steps that ran again in the second build of one engine only; sources are looked at every time."""
    if left.ran is None or right.ran is None:
        return
    steps = {vertex.name: vertex for vertex in graph.vertices if not isinstance(vertex.op, SourceOp)}
    for name, vertex in steps.items():
        if (name in left.ran) == (name in right.ran):
            continue
        yield Difference(
            what=f"cache: {name}",
            aspect="second build",
            left="ran it" if name in left.ran else "reused it",
            right="ran it" if name in right.ran else "reused it",
            step=name,
            location=vertex.locations[0] if vertex.locations else None,
        )
