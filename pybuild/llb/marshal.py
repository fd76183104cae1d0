"""A graph to its wire form, with the bytes and in the order of BuildKit's Go client (client/llb/{state,marshal}.go).

What the graph leaves open is filled in here: the platform of the build, worker filters, what all ops shall have in
common. Cost is linear in vertices and edges, whatever the shape of the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import attrs

from pybuild._collector import paused
from pybuild.digest import Digest, sha256
from pybuild.errors import DefinitionError, UnresolvedError
from pybuild.llb.caps import (
    CONSTRAINTS,
    DESCRIPTION,
    EXPORT_CACHE,
    IGNORE_CACHE,
    PLATFORM,
    SETS_DEFAULT_PATH,
    caps_of,
)
from pybuild.llb.definition import Definition
from pybuild.llb.meta import NO_METADATA, ExecMeta, Metadata
from pybuild.llb.node import Pairs
from pybuild.llb.numbering import renumbered
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, Op, PassthroughOp, SourceOp
from pybuild.llb.platforms import platforms_of
from pybuild.llb.sourcemap import SourceMapBuilder
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.wire.messages import OP
from pybuild.platform import Platform, host_platform

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of a step where neither image nor definition sets one (util/system/path.go)."""
_SLOTS: Final[dict[type[Op], int]] = {
    ExecOp: 0,
    SourceOp: 1,
    FileOp: 2,
    BuildOp: 3,
    MergeOp: 4,
    DiffOp: 5,
    PassthroughOp: 6,
}
"""Where in the oneof of `pb.Op` each op stands."""


@attrs.frozen(kw_only=True)
class MarshalOptions:
    """What a client gives to a whole graph.

    Args:
        platform: of vertices that name none and inherit none; this machine's by default.
        filter: worker filters put before each vertex's own.
        metadata: what every vertex has unless it says otherwise; descriptions add up.
        caps: what the engine can do. None: not known. Without `exec.meta.setsdefaultpath` in it, steps get a PATH.
        local_unique: sets local directories of this client apart from those of others, where they name no session.
    """

    platform: Platform | None = None
    filter: tuple[str, ...] = ()
    metadata: Metadata = NO_METADATA
    caps: Collection[str] | None = None
    local_unique: str | None = None


NO_OPTIONS: Final = MarshalOptions()


def marshal(graph: Graph | Edge | None, options: MarshalOptions = NO_OPTIONS) -> Definition:
    """The wire form of a graph.

    Args:
        graph: one result; a graph must have exactly one head.
        options: what the whole graph is given.

    Raises:
        DefinitionError: the graph has several heads, or text that is not Unicode.
        UnresolvedError: a step still inherits something from its image; the pass `resolve` puts it in.

    Example:
        >>> from pybuild.llb import construct
        >>> edge = Edge(construct.image("alpine"))
        >>> [len(data) for data in marshal(edge, MarshalOptions(platform=Platform("linux", "amd64"))).ops]
        [68, 75]
    """
    if isinstance(graph, Graph):
        if len(graph.heads) != 1:
            raise DefinitionError(f"a definition has one result, this graph has {len(graph.heads)}")
    else:
        graph = Graph([graph])
    head = graph.heads[0]
    if head is None:
        return Definition(ops=())
    with paused():
        return _Marshaller(options).definition(head, graph.vertices)


class _Marshaller:
    """The state of one call of `marshal`."""

    def __init__(self, options: MarshalOptions) -> None:
        self._options = options
        self._platform = options.platform or host_platform()
        self._ops: list[bytes] = []
        self._metadata: dict[Digest, Metadata] = {}
        self._source = SourceMapBuilder()
        self._origin: dict[Digest, tuple[Vertex, ...]] = {}
        self._digests: dict[int, Digest] = {}
        self._description: dict[str, str] = dict(options.metadata.description)
        self._made: dict[tuple[int, frozenset[str]], Metadata] = {}

    def definition(self, head: Edge, vertices: Sequence[Vertex]) -> Definition:
        platforms = platforms_of(vertices, self._platform)
        for vertex in vertices:
            try:
                self._add(vertex, platforms.get(id(vertex)))
            except DefinitionError as error:
                raise error.at(vertex.locations) from None
        self._finish(head)
        return Definition(
            ops=tuple(self._ops), metadata=self._metadata, source=self._source.build(), origin=self._origin
        )

    def _add(self, vertex: Vertex, platform: Platform | None) -> None:
        data = vertex.wire or self._encode(vertex, platform)
        digest = sha256(data)
        self._digests[id(vertex)] = digest
        metadata = vertex.metadata if vertex.wire else self._metadata_of(vertex)
        known = self._metadata.get(digest)
        self._metadata[digest] = metadata if known is None else united(known, metadata)
        self._source.add(digest, vertex.locations)
        if known is None:
            self._ops.append(data)
        self._origin[digest] = (*self._origin.get(digest, ()), vertex)

    def _encode(self, vertex: Vertex, platform: Platform | None) -> bytes:
        op, inputs = self._completed(vertex), self._inputs(vertex)
        if len(inputs) > 1 and isinstance(op, ExecOp | FileOp):
            op, inputs = _without_duplicates(op, vertex, inputs)
        slots: list[Op | None] = [None] * len(_SLOTS)
        slots[_SLOTS[type(op)]] = op
        constraints = vertex.constraints
        if self._options.filter:
            constraints = constraints.replace(filter=(*self._options.filter, *constraints.filter))
        return OP.encode((inputs, platform or vertex.constraints.platform, constraints, *slots))

    def _inputs(self, vertex: Vertex) -> list[tuple[Digest, int]]:
        return [(self._digests[id(edge.vertex)], edge.output) for edge in vertex.inputs]

    def _completed(self, vertex: Vertex) -> Op:
        """The op with what only the client of the moment knows."""
        op = vertex.op
        if isinstance(op, SourceOp) and op.identifier.startswith("local://"):
            return self._local(op)
        if isinstance(op, ExecOp):
            if op.meta.inherit is not None:
                raise UnresolvedError(
                    f'"{vertex.name}" inherits from its image what is not known yet',
                    locations=vertex.locations,
                    hint="build or plan it, which looks images up",
                )
            caps = self._options.caps
            if caps is not None and SETS_DEFAULT_PATH not in caps and self._platform.os != "windows":
                return op.replace(meta=_with_path(op.meta))
        return op

    def _local(self, op: SourceOp) -> SourceOp:
        names = dict(op.attrs)
        if "local.session" in names or "local.unique" in names or self._options.local_unique is None:
            return op
        return op.replace(attrs={**names, "local.unique": self._options.local_unique})

    def _metadata_of(self, vertex: Vertex) -> Metadata:
        own, common = vertex.metadata, self._options.metadata
        completed = vertex.replace(op=self._completed(vertex)) if isinstance(vertex.op, SourceOp) else vertex
        caps = caps_of(completed)
        if self._options.caps is not None and SETS_DEFAULT_PATH in self._options.caps and isinstance(vertex.op, ExecOp):
            caps.add(SETS_DEFAULT_PATH)
        key = (id(own), frozenset(caps))  # the vertex keeps it alive
        known = self._made.get(key)
        if known is not None and not common.description:
            return known
        made = united(common, own).replace(caps=tuple(sorted(caps)))
        if common.description:
            # Go's client keeps one description for the whole graph when it is given any, and adds each vertex's to it.
            self._description.update(own.description)
            made = made.replace(description=tuple(sorted(self._description.items())))
        self._made[key] = made
        return made

    def _finish(self, head: Edge) -> None:
        """Add the op that names the result."""
        data = OP.encode(([(self._digests[id(head.vertex)], head.output)], *[None] * 9))
        caps = {CONSTRAINTS, PLATFORM}
        for metadata in self._metadata.values():
            if metadata.ignore_cache:
                caps.add(IGNORE_CACHE)
            if metadata.description:
                caps.add(DESCRIPTION)
            if metadata.export_cache is not None:
                caps.add(EXPORT_CACHE)
        self._metadata[sha256(data)] = NO_METADATA.replace(caps=tuple(sorted(caps)))
        self._ops.append(data)


def united(left: Metadata, right: Metadata) -> Metadata:
    """The metadata of two vertices with one digest, the one met later to the right.

    Descriptions and capabilities add up, of two values the later one counts (client/llb/state.go, `mergeMetadata`).
    """
    if left in (right, NO_METADATA):
        return right
    return Metadata(
        ignore_cache=left.ignore_cache or right.ignore_cache,
        description=_joined(left.description, right.description),
        export_cache=left.export_cache if right.export_cache is None else right.export_cache,
        caps=tuple(sorted({*left.caps, *right.caps})),
        progress_group=right.progress_group or left.progress_group,
        resources=right.resources or left.resources,
        local_dir=right.local_dir or left.local_dir,
        split_uses=left.split_uses or right.split_uses,
        caching=right.caching.joined(left.caching) if right.caching is not None else left.caching,
    )


def _joined(left: Pairs, right: Pairs) -> Pairs:
    return tuple(sorted({**dict(left), **dict(right)}.items()))


def _with_path(meta: ExecMeta) -> ExecMeta:
    if any(item.startswith("PATH=") for item in meta.env):
        return meta
    return meta.replace(env=(*meta.env, f"PATH={DEFAULT_PATH}"))


def _without_duplicates(
    op: ExecOp | FileOp, vertex: Vertex, inputs: Sequence[tuple[Digest, int]]
) -> tuple[Op, list[tuple[Digest, int]]]:
    """Make one input of those that are equal on the wire only, such as an image with and one without a platform."""
    first: dict[tuple[Digest, int], tuple[int, Digest]] = {}
    kept: list[tuple[Digest, int]] = []
    numbers: list[int] = []
    for key, edge in zip(inputs, vertex.inputs, strict=True):
        number, digest = first.get(key, (-1, ""))
        if number < 0 or digest == edge.vertex.digest:  # a vertex that names an input twice means it
            number = len(kept)
            first.setdefault(key, (number, edge.vertex.digest))
            kept.append(key)
        numbers.append(number)
    if len(kept) == len(inputs):
        return op, kept
    return renumbered(op, numbers, len(kept)), kept
