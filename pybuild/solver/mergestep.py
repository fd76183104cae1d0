"""Merge and diff: stacking the layers of snapshots anew, without copying files where the layers say it all.

A merge puts the layers of its later inputs on top of the first one's; a diff of a snapshot and an ancestor of it is
just the layers in between. Only a diff of unrelated trees compares them. Mirrors BuildKit's solver/llbsolver/ops/
{merge,diff}.go and snapshot/merge.go.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from pybuild.digest import digest_of, short
from pybuild.errors import AlreadyExists
from pybuild.llb.ops import DiffOp, MergeOp
from pybuild.protocols import Ref
from pybuild.store.store import Store


def run_merge(store: Store, op: MergeOp, inputs: Sequence[Ref], hold: Callable[[str], None]) -> Ref:
    """Lay the inputs over each other.

    Args:
        store: the store.
        op: which inputs, in order.
        inputs: their trees.
        hold: called with the key of every snapshot made here.
    """
    trees = [inputs[number].snapshot for number in op.inputs]
    result = trees[0]
    for tree in trees[1:]:
        for layer in store.snapshots.parents(tree) if tree else ():
            result = _stack(store, result, layer, hold)
    return Ref(snapshot=result)


def run_diff(store: Store, op: DiffOp, inputs: Sequence[Ref], hold: Callable[[str], None]) -> Ref:
    """What the upper input changes in the lower one, on an empty tree.

    Args:
        store: the store.
        op: which inputs.
        inputs: their trees.
        hold: called with the key of every snapshot made here.
    """
    lower = inputs[op.lower].snapshot if op.lower >= 0 else ""
    upper = inputs[op.upper].snapshot if op.upper >= 0 else ""
    if not lower:
        return Ref(snapshot=upper)
    chain = store.snapshots.parents(upper) if upper else ()
    if lower in chain:
        result = ""
        for layer in chain[chain.index(lower) + 1 :]:
            result = _stack(store, result, layer, hold)
        return Ref(snapshot=result)
    return _compare(store, lower, upper, hold)


def _stack(store: Store, parent: str, layer: str, hold: Callable[[str], None]) -> str:
    """The snapshot with the changes of `layer` on `parent`; the same two always give the same one."""
    if store.snapshots.stat(layer).parent == parent:
        return layer
    name = f"stack-{short(digest_of('stack', parent, layer), 32)}"
    hold(name)
    try:
        store.snapshots.restack(name, parent, layer)
    except AlreadyExists:
        return name
    return name


def _compare(store: Store, lower: str, upper: str, hold: Callable[[str], None]) -> Ref:
    from pybuild.solver.filestep import writer_for
    from pybuild.solver.mergeop import write_diff
    from pybuild.store.tree import LayeredTree

    key, name = f"active-{uuid.uuid4().hex}", f"diff-{uuid.uuid4().hex}"
    hold(key)
    hold(name)
    snapshots = store.snapshots
    snapshots.prepare(key, "")
    try:
        before = LayeredTree(snapshots.lowers(lower))
        after = LayeredTree(snapshots.lowers(upper) if upper else ())
        write_diff(before, after, writer_for(store, key, ""))
        snapshots.commit(name, key)
    except BaseException:
        snapshots.abandon(key)
        raise
    return Ref(snapshot=name)
