"""The chains of a graph that become stages: each from a source, or from where another one ends, to where it is used."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from pybuild.llb.files import CopyAction, MkdirAction, MkfileAction
from pybuild.llb.mounts import BindMount, CacheMount
from pybuild.llb.ops import ExecOp, FileOp, MergeOp, SourceOp
from pybuild.llb.vertex import Edge, Vertex
from pybuild.llb.walk import primary_input
from pybuild.passes.unite import stage_of

Key = tuple[int, int]


@attrs.define(eq=False)
class Chain:
    """One stage: its name, the edge it ends with, what it is based on (None: scratch), its own vertices in order."""

    name: str
    head: Edge | None
    base: Edge | None = None
    own: list[Vertex] = attrs.field(factory=list[Vertex])


def chains_of(head: Edge | None, name: str) -> list[Chain]:
    """The stages of a graph, those that others use first.

    Args:
        head: the result.
        name: what its stage is called.
    """
    if head is None:
        return [Chain(name, None)]
    wanted = _ends(head)
    found: dict[Key, Chain] = {}
    names = {name}
    for edge in wanted:
        chain = Chain(name if edge is wanted[-1] else _name(edge.vertex, names), edge)
        current: Edge | None = edge
        while current is not None and not _starts(current, chain, found):
            chain.own.insert(0, current.vertex)
            current = primary_input(current)
        chain.base = current
        found[_key(edge)] = chain
    return list(found.values())


def _starts(edge: Edge, chain: Chain, found: dict[Key, Chain]) -> bool:
    return isinstance(edge.vertex.op, SourceOp) or (edge is not chain.head and _key(edge) in found)


def _ends(head: Edge) -> list[Edge]:
    """The edges that stages end with, inputs first: the result, and what is copied from or mounted."""
    ends: dict[Key, Edge] = {}
    stack: list[tuple[Edge, bool]] = [(head, False)]
    seen: set[Key] = set()
    while stack:
        edge, done = stack.pop()
        if done:
            ends.setdefault(_key(edge), edge)
            continue
        if _key(edge) in seen:
            continue
        seen.add(_key(edge))
        stack.append((edge, True))
        current: Edge | None = edge
        while current is not None:
            stack += [(each, False) for each in side_inputs(current.vertex) if needs_stage(each)]
            current = primary_input(current)
    return list(ends.values())


def side_inputs(vertex: Vertex) -> Iterator[Edge]:
    """What a vertex reads beside the file system that it changes."""
    op = vertex.op
    if isinstance(op, FileOp):
        for action in op.actions:
            if isinstance(action, CopyAction) and 0 <= action.secondary_input < len(vertex.inputs):
                yield vertex.inputs[action.secondary_input]
    elif isinstance(op, ExecOp):
        for mount in op.mounts:
            if isinstance(mount, BindMount | CacheMount) and mount.target != "/" and mount.input >= 0:
                yield vertex.inputs[mount.input]
    elif isinstance(op, MergeOp):
        for number in op.inputs[1:]:
            layer = vertex.inputs[number]
            yield from side_inputs(layer.vertex)


def needs_stage(edge: Edge) -> bool:
    """Whether an input must be a stage: sources are named where they are used, and documents are heredocs."""
    vertex = edge.vertex
    return not isinstance(vertex.op, SourceOp) and not is_document(vertex) and cache_owner(vertex) is None


def is_document(vertex: Vertex) -> bool:
    """Whether a vertex is one small file on nothing."""
    op = vertex.op
    return (
        isinstance(op, FileOp)
        and len(op.actions) == 1
        and isinstance(op.actions[0], MkfileAction)
        and not vertex.inputs
    )


def cache_owner(vertex: Vertex) -> MkdirAction | None:
    """The directory that gives a new cache its owner and mode, if a vertex is that."""
    op = vertex.op
    if not isinstance(op, FileOp) or vertex.inputs or len(op.actions) != 1:
        return None
    action = op.actions[0]
    return action if isinstance(action, MkdirAction) and action.path == "/cache" else None


def _key(edge: Edge) -> Key:
    return id(edge.vertex), int(edge.output)


def _name(vertex: Vertex, taken: set[str]) -> str:
    wanted = stage_of(vertex).replace("_", "-").lower() or "stage"
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    taken.add(name)
    return name
