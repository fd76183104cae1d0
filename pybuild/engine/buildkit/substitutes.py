"""The same graph said in another way, for an engine that lacks the way in which it is said.

BuildKit's Dockerfile frontend does so while it lowers (dockerfile2llb); here it is done for graphs of any origin, so a
Dockerfile and the Buildfile that it was converted to are the same for every engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pybuild.llb.files import CopyAction, FileAction
from pybuild.llb.mounts import NO_INPUT, NO_OUTPUT, BindMount
from pybuild.llb.numbering import bound, renumbered
from pybuild.llb.ops import ExecOp, FileOp, MergeOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import rewrite

MERGES: Final = "mergeop"
DEVICES: Final = "exec.meta.cdi"
DISCARDED: Final = "exec.mount.bind.readwrite-nooutput"
_LACKING: Final = {
    MERGES: "copies with link=True depend on what is below them",
    DEVICES: "steps run without the devices that they ask for",
}


def substituted(graph: Graph, known: frozenset[str], degraded: Callable[[str], object]) -> Graph:
    """A graph for an engine, where it can be said otherwise: linked copies, devices, and mounts that are thrown away.

    Args:
        graph: what shall be solved.
        known: what the engine can do; empty when it does not say.
        degraded: is told what is not as it was asked for, once for each kind.
    """
    if not known:
        return graph
    told: dict[str, None] = {}

    def change(vertex: Vertex) -> Vertex:
        made = vertex
        if isinstance(vertex.op, MergeOp) and MERGES not in known:
            made = _copied(vertex)
            told.update({MERGES: None} if made is not vertex else {})
        elif isinstance(vertex.op, ExecOp):
            if vertex.op.cdi_devices and DEVICES not in known:
                told[DEVICES] = None
                made = vertex.replace(op=vertex.op.replace(cdi_devices=()))
            if DISCARDED not in known:
                made = _kept(made)
        return made

    found = rewrite(graph, change)
    for name in told:
        degraded(f"the engine lacks {name}: {_LACKING[name]}")
    return found


def _copied(vertex: Vertex) -> Vertex:
    """A merge of a tree and of copies into nothing as copies into that tree; the vertex itself where it is another."""
    base, *layers = vertex.inputs
    made = vertex
    for layer in layers:
        op = layer.vertex.op
        if not isinstance(op, FileOp) or not _copies_into_nothing(op, len(layer.vertex.inputs)):
            return vertex
        numbers = range(1, len(layer.vertex.inputs) + 1)
        moved = renumbered(op, numbers, len(numbers) + 1)
        assert isinstance(moved, FileOp)
        actions = tuple(map(_on_base, moved.actions))
        made = layer.vertex.replace(
            op=moved.replace(actions=actions),
            inputs=(base, *layer.vertex.inputs),
            locations=tuple(dict.fromkeys((*layer.vertex.locations, *vertex.locations))),
        )
        base = Edge(made, layer.output)
    return made


def _copies_into_nothing(op: FileOp, inputs: int) -> bool:
    """Whether all that is done is to copy, one copy after the other, into an empty tree."""
    following = [NO_INPUT, *range(inputs, inputs + len(op.actions) - 1)]
    return all(
        isinstance(action, CopyAction) and action.input == number
        for action, number in zip(op.actions, following, strict=True)
    )


def _on_base(action: FileAction) -> FileAction:
    """A copy as it is when there is a tree below, where names of owners are looked up, too."""
    assert isinstance(action, CopyAction)
    owner = None if action.owner is None else bound(action.owner, lambda _: 0)
    return action.replace(input=max(action.input, 0), owner=owner)


def _kept(vertex: Vertex) -> Vertex:
    """A step whose writable mounts have results, which nobody uses."""
    op = vertex.op
    assert isinstance(op, ExecOp)
    following = 1 + max((getattr(mount, "output", NO_OUTPUT) for mount in op.mounts), default=NO_OUTPUT)
    mounts = list(op.mounts)
    for number, mount in enumerate(mounts):
        if isinstance(mount, BindMount) and mount.output == NO_OUTPUT and not mount.readonly:
            mounts[number] = mount.replace(output=following)
            following += 1
    return vertex if tuple(mounts) == op.mounts else vertex.replace(op=op.replace(mounts=tuple(mounts)))
