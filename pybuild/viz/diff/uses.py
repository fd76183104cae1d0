"""What the inputs of a vertex are to it: the edges, named so that they can be found in another graph."""

from __future__ import annotations

from typing import assert_never

import attrs

from pybuild.llb.files import CopyAction, UserName
from pybuild.llb.mounts import BindMount
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, PassthroughOp, SourceOp
from pybuild.llb.vertex import Edge, Vertex


@attrs.frozen(kw_only=True)
class Use:
    """One use of an input.

    `role` names it within its vertex; `number` is the input's. `by_content`: what the input holds may stand for it in
    the cache, as for what is copied or mounted read-only (mirrors `solver/cachemap.py`).
    """

    role: str
    number: int
    edge: Edge
    by_content: bool = False


def uses_of(vertex: Vertex) -> tuple[Use, ...]:
    """Every use of an input, the base first."""
    match vertex.op:
        case ExecOp() as op:
            return _mounts(vertex, op)
        case FileOp() as op:
            return _actions(vertex, op)
        case DiffOp(lower=lower):
            roles = ["lower" if number == lower else "upper" for number in range(len(vertex.inputs))]
        case SourceOp() | MergeOp() | BuildOp() | PassthroughOp():
            roles = [f"input {number + 1}" for number in range(len(vertex.inputs))]
        case _:
            assert_never(vertex.op)
    return tuple(
        Use(role=role, number=number, edge=edge)
        for number, (role, edge) in enumerate(zip(roles, vertex.inputs, strict=True))
    )


def _mounts(vertex: Vertex, op: ExecOp) -> tuple[Use, ...]:
    found: list[Use] = []
    content = [True] * len(vertex.inputs)
    for mount in op.mounts:
        number = getattr(mount, "input", -1)
        if number >= 0 and isinstance(mount, BindMount) and mount.output != -1:
            content[number] = False
    for mount in op.mounts:
        number = getattr(mount, "input", -1)
        if number >= 0:
            role = "base" if mount.target == "/" else f"mount {mount.target}"
            found.append(Use(role=role, number=number, edge=vertex.inputs[number], by_content=content[number]))
    return tuple(found)


def _actions(vertex: Vertex, op: FileOp) -> tuple[Use, ...]:
    count = len(vertex.inputs)
    base = [action.input for action in op.actions if 0 <= action.input < count]
    owners = {
        half.input
        for action in op.actions
        if (owner := getattr(action, "owner", None)) is not None
        for half in (owner.user, owner.group)
        if isinstance(half, UserName)
    }
    whole = {*base, *owners}
    found = [Use(role="base", number=number, edge=vertex.inputs[number]) for number in dict.fromkeys(base)]
    copies = [action.secondary_input for action in op.actions if isinstance(action, CopyAction)]
    for position, number in enumerate(copies, 1):
        if 0 <= number < count:
            role = "copy from" if len(copies) == 1 else f"copy {position} from"
            by_content = number not in whole
            found.append(Use(role=role, number=number, edge=vertex.inputs[number], by_content=by_content))
    return tuple(found)
