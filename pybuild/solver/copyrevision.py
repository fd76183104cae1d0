"""A copy of a directory as a revision of the last one: what differs in the source is copied, and nothing else.

Possible when the source is the last one with layers on top (a context of which little changed is one), and the copy
goes onto the same tree in the same way. Then what differs lies in those layers alone. The result is that of `copy.py`;
whatever might be otherwise is not done here: where the base has something of its own at a path that changes, where
patterns choose, where archives are unpacked. Only times that are those of a build stay those of the last one.
"""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import attrs

from pybuild.digest import digest_of
from pybuild.errors import NotFound, PybuildError
from pybuild.llb.files import CopyAction
from pybuild.llb.ops import FileOp
from pybuild.protocols import Ref
from pybuild.solver.cachemap import VERSION, owner_inputs
from pybuild.solver.copy import Copier, clean_path
from pybuild.store.lastcopies import last_copy, remember_copy
from pybuild.store.store import Store
from pybuild.store.tree import Entry, LayeredTree
from pybuild.store.treewriter import TreeWriter
from pybuild.store.users import resolve_owner
from pybuild.store.wildcard import split_wildcards

Hold = Callable[[str], None]
_MOST: Final = 100_000
"""So many changes are not worth a closer look."""


class _TooDifferent(Exception):  # nothing is wrong
    """The whole copy has to be made."""


@attrs.frozen(kw_only=True)
class Copying:
    """A file op that is one copy of a directory's contents.

    Args:
        action: the copy.
        base: key of the snapshot that it works on, "" for the empty tree.
        source: key of the snapshot that it copies from.
        operation: all that the result depends on but the source.
    """

    action: CopyAction
    base: str
    source: str
    operation: str


def copying(op: FileOp, inputs: Sequence[Ref]) -> Copying | None:
    """What there is to know of an op that this module may speed up; None of any other."""
    if len(op.actions) != 1 or not isinstance(action := op.actions[0], CopyAction):
        return None
    number = action.secondary_input
    if not (action.output == 0 and 0 <= number < len(inputs) and -1 <= action.input < len(inputs)):
        return None
    if number == action.input or number in owner_inputs(action.owner) or not action.dir_copy_contents:
        return None
    if action.include_patterns or action.exclude_patterns or action.required_paths:
        return None
    if action.allow_wildcard and split_wildcards(clean_path(action.source))[1]:
        return None
    source = inputs[number].snapshot
    others = tuple(ref.snapshot for position, ref in enumerate(inputs) if position != number)
    base = inputs[action.input].snapshot if action.input >= 0 else ""
    operation = digest_of("copy", VERSION, op.form, others)
    return Copying(action=action, base=base, source=source, operation=operation) if source else None


def remember(store: Store, copy: Copying, result: str) -> None:
    """Note the committed snapshot that came of a copy."""
    remember_copy(store.database, copy.operation, copy.source, result)


def revise(store: Store, copy: Copying, inputs: Sequence[Ref], hold: Hold) -> str:
    """Copy what differs from the last time.

    Args:
        store: the store.
        copy: what to do.
        inputs: the step's.
        hold: called with the key of every snapshot that is used or made here.

    Returns:
        The key of an active snapshot, which the caller commits; "" when the whole copy has to be made.
    """
    last = last_copy(store.database, copy.operation)
    if last is None:
        return ""
    hold(last.source)
    hold(last.result)
    try:
        return _revise(store, copy, inputs, last.source, last.result, hold)
    except (_TooDifferent, NotFound):
        return ""


def _revise(store: Store, copy: Copying, inputs: Sequence[Ref], before: str, result: str, hold: Hold) -> str:
    snapshots = store.snapshots
    old, new = snapshots.lowers(before), snapshots.lowers(copy.source)
    if len(new) <= len(old) or new[-len(old) :] != old:
        return ""
    base = LayeredTree(snapshots.lowers(copy.base) if copy.base else ())
    plan = _Plan(copy.action, LayeredTree(old), LayeredTree(new), base, LayeredTree(snapshots.lowers(result)))
    plan.make()
    if not snapshots.may_revise(result, copy.base, plan.size):
        return ""
    trees = [LayeredTree(snapshots.lowers(ref.snapshot) if ref.snapshot else ()) for ref in inputs]
    owner = resolve_owner(copy.action.owner, trees.__getitem__)
    key = f"active-{uuid.uuid4().hex}"
    hold(key)
    snapshots.prepare(key, copy.base, revises=result, changes=plan.size)
    try:
        writer = TreeWriter(snapshots.lowers(result), snapshots.upper(key), whiteouts=store.whiteouts, shares=False)
        plan.apply(writer, Copier(writer, plan.after, copy.action, owner))
    except (PybuildError, OSError):
        # The whole copy fails in the same way, and has the words for it.
        snapshots.abandon(key)
        return ""
    except BaseException:
        snapshots.abandon(key)
        raise
    return key


class _Change(NamedTuple):
    """One path that differs: what is there now (None: nothing), and whether what was there has to go first."""

    relative: str
    entry: Entry | None
    clear: bool


class _Plan:
    """What differs between two sources, and what that means for a copy.

    Args:
        action: the copy.
        before: the last source.
        after: the source now: the same with layers on top.
        base: what the copy works on.
        result: what the last copy made.
    """

    def __init__(
        self, action: CopyAction, before: LayeredTree, after: LayeredTree, base: LayeredTree, result: LayeredTree
    ) -> None:
        self._action = action
        self._before = before
        self.after = after
        self._base = base
        self._result = result
        self._target = ""
        self._changes: list[_Change] = []
        self._directories: list[tuple[str, Entry]] = []
        self.size = 0

    def make(self) -> None:
        """Find out. Raises _TooDifferent."""
        source = clean_path(self._action.source)
        old = self._before.lookup(source, follow=self._action.follow_symlink)
        new = self.after.lookup(source, follow=self._action.follow_symlink)
        _need(old is not None and new is not None and old.is_dir and new.is_dir and old.path == new.path)
        assert old is not None
        assert new is not None
        dest = clean_path(self._action.dest)
        self._target = posixpath.normpath(self._base.resolve(dest))
        there = self._result.lookup(self._target, follow=False)
        _need(self._result.resolve(dest) == self._base.resolve(dest) and there is not None and there.is_dir)
        self._compare(old, new)

    def _compare(self, old_top: Entry, new_top: Entry) -> None:
        pending = [("", old_top, new_top)]
        while pending:
            relative, old, new = pending.pop()
            if old.dirs == new.dirs:
                continue
            self._directories.append((relative, new))
            self._check_directory(relative, old, new)
            before = {child.name: child for child in self._before.children(old)}
            for child in self.after.children(new):
                was = before.pop(child.name, None)
                path = f"{relative}/{child.name}"
                if was is not None and was.is_dir and child.is_dir:
                    pending.append((path, was, child))
                elif was is None or was.is_dir or child.is_dir or was.real != child.real:
                    kinds_differ = was is not None and (was.is_dir or child.is_dir)
                    self._add(_Change(path, child, clear=kinds_differ))
            for name in before:
                self._add(_Change(f"{relative}/{name}", None, clear=True))
            self.size += 1

    def _check_directory(self, relative: str, old: Entry, new: Entry) -> None:
        existing = self._base.lookup(self._place(relative), follow=False)
        _need(existing is None or existing.is_dir)
        _need(not (old.xattrs or new.xattrs))  # those that are gone would stay

    def _add(self, change: _Change) -> None:
        _need(self._base.lookup(self._place(change.relative), follow=False) is None)
        self._changes.append(change)
        self.size += 1
        if change.entry is not None and change.entry.is_dir:
            for _ in self.after.walk(change.entry.path):
                self.size += 1
                _need(self.size <= _MOST)
        _need(self.size <= _MOST)

    def _place(self, relative: str) -> str:
        return self._target.rstrip("/") + relative if relative else self._target

    def apply(self, writer: TreeWriter, copier: Copier) -> None:
        """Make the last result, over which the writer writes, the one of now."""
        for change in sorted(self._changes, key=lambda change: change.relative):
            place = self._place(change.relative)
            if change.clear and writer.view.lookup(place, follow=False) is not None:
                writer.remove(place)
            if change.entry is not None:
                copier.copy_below(change.entry, place)
        for relative, entry in sorted(self._directories, key=lambda item: item[0], reverse=True):
            place = self._place(relative)
            if relative:
                writer.set_attributes(place, copier.attributes(entry))
            writer.set_mtime(place, copier.mtime_ns(entry))


def _need(holds: bool) -> None:
    if not holds:
        raise _TooDifferent
