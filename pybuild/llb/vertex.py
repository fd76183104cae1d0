"""Vertices and edges of the graph, and the graph as a value.

A vertex is an op together with the edges it works on. Its digest covers the op, its constraints and the digests of
its inputs, so it identifies everything below it; it is computed once, when the vertex is made. Metadata and
locations are carried along but are no part of it. Vertices are not interned: two equal ones keep their own
locations until the pass `dedupe` unites them. Nothing here recurses along edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, NewType, Self, final

from pybuild.digest import Digest, digest_of, short
from pybuild.llb.meta import NO_CONSTRAINTS, NO_METADATA, Constraints, Metadata
from pybuild.llb.ops import ExecOp, FileOp, Op, SourceOp
from pybuild.location import Location
from pybuild.shown import Shown

if TYPE_CHECKING:
    from pybuild.llb.walk import Row

OutputIndex = NewType("OutputIndex", int)
"""Which output of a vertex an edge takes; 0 is the root file system of an exec."""


class Edge(NamedTuple):
    """One output of a vertex, used as an input of another or as a result."""

    vertex: Vertex
    output: OutputIndex = OutputIndex(0)

    def __repr__(self) -> str:
        return f"Edge({self.vertex!r}, {self.output})"


@final
class Vertex(Shown):
    """An op with its inputs.

    Args:
        op: what to do.
        inputs: the edges that the op numbers from 0.
        constraints: platform and worker filter; part of the digest.
        metadata: name, cache hints, limits; not part of the digest.
        locations: where the user wrote it; not part of the digest.
        visits: the vertices below in the order in which a client walks them, where that is more than one object per
            input: equal vertices share an input, and each has a name and a place of its own. Not part of the digest.
        wire: the bytes that it was read from, if it was; what marshals it again writes them. Not part of the digest.
    """

    __slots__ = ("constraints", "digest", "inputs", "locations", "metadata", "op", "visits", "wire")
    op: Op
    inputs: tuple[Edge, ...]
    constraints: Constraints
    metadata: Metadata
    locations: tuple[Location, ...]
    visits: tuple[Vertex, ...]
    wire: bytes
    digest: Digest

    def __init__(
        self,
        op: Op,
        inputs: Iterable[Edge] = (),
        *,
        constraints: Constraints = NO_CONSTRAINTS,
        metadata: Metadata = NO_METADATA,
        locations: Iterable[Location] = (),
        visits: Iterable[Vertex] = (),
        wire: bytes = b"",
    ) -> None:
        put = object.__setattr__
        put(self, "op", op)
        put(self, "inputs", tuple(inputs))
        put(self, "constraints", constraints)
        put(self, "metadata", metadata)
        put(self, "locations", tuple(locations))
        put(self, "visits", tuple(visits))
        put(self, "wire", wire)
        below = tuple([(edge.vertex.digest, edge.output) for edge in self.inputs])
        put(self, "digest", digest_of(op._form, constraints._form, below))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a vertex is immutable; use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a vertex is immutable")

    def replace(
        self,
        *,
        op: Op | None = None,
        inputs: Sequence[Edge] | None = None,
        constraints: Constraints | None = None,
        metadata: Metadata | None = None,
        locations: Sequence[Location] | None = None,
        visits: Sequence[Vertex] | None = None,
    ) -> Self:
        """A copy with some parts changed; the locations stay unless given, `visits` go with the inputs."""
        same = op is None and inputs is None and constraints is None
        if visits is None:
            visits = self.visits if inputs is None else ()
        return type(self)(
            self.op if op is None else op,
            self.inputs if inputs is None else inputs,
            constraints=self.constraints if constraints is None else constraints,
            metadata=self.metadata if metadata is None else metadata,
            locations=self.locations if locations is None else locations,
            visits=visits,
            wire=self.wire if same else b"",
        )

    @property
    def name(self) -> str:
        """What people call this vertex: the given name, or a summary of the op."""
        return self.metadata.name or summary(self.op)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Vertex) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        place = f" {self.locations[0]}" if self.locations else ""
        return f"<{type(self.op).__name__} {summary(self.op)} {short(self.digest, 6)}{place}>"

    def __reduce__(self) -> tuple[object, ...]:
        from pybuild.llb.walk import flatten

        return _last_vertex, (flatten([Edge(self)]),)


def _last_vertex(rows: list[Row]) -> Vertex:
    from pybuild.llb.walk import unflatten

    return unflatten(rows)[-1]


def summary(op: Op, limit: int = 60) -> str:
    """A one-line description of an op, for progress and drawings."""
    if isinstance(op, ExecOp):
        args = op.meta.args
        shell = len(args) == 3 and args[0].rpartition("/")[2] in ("sh", "bash", "ash", "dash") and args[1] == "-c"
        text = args[2] if shell else " ".join(args)
    elif isinstance(op, SourceOp):
        text = op.reference if op.scheme == "docker-image" else op.identifier
        if op.scheme in ("http", "https"):
            from pybuild.llb.giturl import redacted

            text = redacted(text)
    elif isinstance(op, FileOp):
        text = ", ".join(_action_summary(action) for action in op.actions)
    else:
        text = type(op).__name__.removesuffix("Op").lower()
    text = " ".join(text.split())
    text = text or type(op).__name__.removesuffix("Op").lower()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _action_summary(action: object) -> str:
    from pybuild.llb.files import CopyAction, MkdirAction, MkfileAction, RmAction, SymlinkAction

    match action:
        case CopyAction():
            return f"copy {action.source} {action.dest}"
        case MkfileAction():
            return f"mkfile {action.path}"
        case MkdirAction():
            return f"mkdir {action.path}"
        case RmAction():
            return f"rm {action.path}"
        case SymlinkAction():
            return f"symlink {action.old_path} {action.new_path}"
        case _:
            return "file"


@final
class Graph(Shown):
    """A set of result edges and all below them, as one immutable value.

    Args:
        heads: the results, in order; None stands for an empty file system (scratch).
        order: `vertices`, for whoever knows them already.

    Example:
        >>> Graph([]).vertices
        ()
    """

    __slots__ = ("_vertices", "heads")
    heads: tuple[Edge | None, ...]

    def __init__(self, heads: Iterable[Edge | None], *, order: Sequence[Vertex] | None = None) -> None:
        self.heads = tuple(heads)
        self._vertices: tuple[Vertex, ...] | None = None if order is None else tuple(order)

    @property
    def vertices(self) -> tuple[Vertex, ...]:
        """Every vertex object once, inputs before their users, in the order of BuildKit's depth-first walk."""
        if self._vertices is None:
            from pybuild.llb.walk import toposort

            self._vertices = tuple(toposort(edge.vertex for edge in self.heads if edge is not None))
        return self._vertices

    @property
    def digest(self) -> Digest:
        """One digest for the whole graph."""
        return digest_of(*((edge.vertex.digest, edge.output) if edge else None for edge in self.heads))

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Graph) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __len__(self) -> int:
        return len(self.vertices)

    def __repr__(self) -> str:
        return f"<Graph {len(self.vertices)} vertices {short(self.digest, 6)}>"

    def __reduce__(self) -> tuple[object, ...]:
        from pybuild.llb.walk import flatten

        edges = [edge for edge in self.heads if edge is not None]
        rows = flatten(edges)
        position = {id(vertex): number for number, vertex in enumerate(self.vertices)}
        heads = [None if edge is None else (position[id(edge.vertex)], edge.output) for edge in self.heads]
        return _graph_from_rows, (rows, heads)


def _graph_from_rows(rows: list[Row], heads: list[tuple[int, OutputIndex] | None]) -> Graph:
    from pybuild.llb.walk import unflatten

    vertices = unflatten(rows)
    return Graph(None if head is None else Edge(vertices[head[0]], head[1]) for head in heads)
