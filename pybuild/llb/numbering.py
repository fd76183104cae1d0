"""Input numbers of an op, changed all at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from pybuild.llb.files import CopyAction, FileAction, Owner, UserName
from pybuild.llb.ops import ExecOp, FileOp


def united(keys: Iterable[Hashable]) -> tuple[list[int], list[int]]:
    """Numbers of inputs when equal ones are one.

    Returns:
        The positions that are kept, and for every position the number of its input among those.

    Example:
        >>> united("aba")
        ([0, 1], [0, 1, 0])
    """
    first: dict[Hashable, int] = {}
    kept: list[int] = []
    numbers: list[int] = []
    for position, key in enumerate(keys):
        number = first.setdefault(key, len(kept))
        if number == len(kept):
            kept.append(position)
        numbers.append(number)
    return kept, numbers


def renumbered(op: ExecOp | FileOp, numbers: Sequence[int], count: int) -> ExecOp | FileOp:
    """`op` with other input numbers.

    Args:
        op: what works on inputs 0 .. len(numbers)-1.
        numbers: the new number of each.
        count: how many inputs there will be; results of file actions are numbered from there.
    """
    before = len(numbers)

    def moved(number: int) -> int:
        if number < 0:
            return number
        return numbers[number] if number < before else number - before + count

    if isinstance(op, ExecOp):
        return op.replace(mounts=tuple(mount.replace(input=moved(mount.input)) for mount in op.mounts))
    return op.replace(actions=tuple(_moved(action, moved) for action in op.actions))


def _moved(action: FileAction, moved: Callable[[int], int]) -> FileAction:
    changes: dict[str, object] = {"input": moved(action.input)}
    if isinstance(action, CopyAction):
        changes["secondary_input"] = moved(action.secondary_input)
    owner: Owner | None = getattr(action, "owner", None)
    if owner is not None:
        changes["owner"] = bound(owner, moved)
    return action.replace(**changes)


def bound(owner: Owner, moved: Callable[[int], int]) -> Owner:
    """`owner` with the inputs that its names are looked up in changed."""

    def half(value: UserName | int | None) -> UserName | int | None:
        return value.replace(input=moved(value.input)) if isinstance(value, UserName) else value

    return Owner(user=half(owner.user), group=half(owner.group))
