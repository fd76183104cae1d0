"""Running a file step: the file operation on a new snapshot of its base."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from pybuild.llb.ops import FileOp
from pybuild.protocols import Ref
from pybuild.solver.copyrevision import copying, remember, revise
from pybuild.solver.fileop import run_file_op
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree
from pybuild.store.treewriter import TreeWriter


def writer_for(store: Store, key: str, parent: str) -> TreeWriter:
    """Writes into the active snapshot `key`, which was prepared on `parent`."""
    snapshots = store.snapshots
    lowers = snapshots.lowers(parent) if parent and snapshots.name == "overlay" else ()
    return TreeWriter(lowers, snapshots.upper(key), whiteouts=store.whiteouts)


def run_file(
    store: Store, op: FileOp, inputs: Sequence[Ref], hold: Callable[[str], None], *, fresh: bool = False
) -> str:
    """Apply `op`; returns the key of an active snapshot, which the caller commits.

    Args:
        store: the store.
        op: the actions.
        inputs: the trees they work on.
        hold: called with the key of every snapshot made here.
        fresh: do not make it of what the same op made the last time.
    """
    copy = copying(op, inputs)
    if copy is not None and not fresh and (revised := revise(store, copy, inputs, hold)):
        return revised
    snapshots = store.snapshots
    trees = [LayeredTree(snapshots.lowers(ref.snapshot) if ref.snapshot else ()) for ref in inputs]
    keys: dict[int, str] = {}

    def workspace(number: int) -> TreeWriter:
        parent = inputs[number].snapshot if number >= 0 else ""
        key = f"active-{uuid.uuid4().hex}"
        hold(key)
        snapshots.prepare(key, parent)
        writer = writer_for(store, key, parent)
        keys[id(writer)] = key
        return writer

    try:
        result = run_file_op(op, trees, workspace)
    except BaseException:
        for key in keys.values():
            snapshots.abandon(key)
        raise
    chosen = keys.pop(id(result))
    for key in keys.values():
        snapshots.remove(key)
    return chosen


def note_file(store: Store, op: FileOp, inputs: Sequence[Ref], snapshot: str) -> None:
    """Note the committed snapshot that came of `run_file`, for the next time."""
    copy = copying(op, inputs)
    if copy is not None:
        remember(store, copy, snapshot)
