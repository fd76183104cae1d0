"""File ops in their usual form, one chain of actions over one base, taken apart and put together again.

The wire form allows more (actions that read each other's results, several outputs); the passes leave such ops alone.
"""

from __future__ import annotations

import attrs

from pybuild.llb import construct
from pybuild.llb.files import SCRATCH, CopyAction, FileAction, Owner, RmAction, UserName
from pybuild.llb.ops import FileOp
from pybuild.llb.vertex import Edge, Vertex
from pybuild.passes.unite import joined


@attrs.frozen(kw_only=True, eq=False)
class FileChain:
    """The actions of a file op, each with the edge it copies from (None for other actions), over `base`."""

    base: Edge | None
    actions: tuple[tuple[FileAction, Edge | None], ...]

    @property
    def reads_base(self) -> bool:
        """Whether an action looks into the base: for an owner's name, or as the source of a copy."""
        return any(
            _names(action) or (edge is not None and self.base is not None and edge == self.base)
            for action, edge in self.actions
        )


def chain_of(vertex: Vertex) -> FileChain | None:
    """The chain that a vertex is; None when it is no file op, or one of another form."""
    op = vertex.op
    if not isinstance(op, FileOp):
        return None
    count, last = len(vertex.inputs), len(op.actions) - 1
    base = op.actions[0].input
    if base >= count:
        return None
    pairs: list[tuple[FileAction, Edge | None]] = []
    for number, action in enumerate(op.actions):
        expected = base if number == 0 else count + number - 1
        if action.input != expected or action.output != (0 if number == last else -1):
            return None
        if any(name.input != base for name in _names(action)):
            return None
        source = action.secondary_input if isinstance(action, CopyAction) else SCRATCH
        if source >= count:
            return None
        pairs.append((action, vertex.inputs[source] if source >= 0 else None))
    return FileChain(base=vertex.inputs[base] if base >= 0 else None, actions=tuple(pairs))


def file_of(base: Edge | None, actions: list[tuple[FileAction, Edge | None]], vertices: list[Vertex]) -> Vertex:
    """The vertex that applies `actions` and stands for `vertices`."""
    metadata, locations = joined(vertices)
    return construct.file(base, actions, constraints=vertices[-1].constraints, metadata=metadata, locations=locations)


def _names(action: FileAction) -> list[UserName]:
    owner: Owner | None = None if isinstance(action, RmAction) else action.owner
    if owner is None:
        return []
    return [half for half in (owner.user, owner.group) if isinstance(half, UserName)]
