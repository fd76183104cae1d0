"""What differs between two file systems. Parts that both have from the same layers are skipped without a look."""

from __future__ import annotations

import os
import stat as statmod
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias, overload

import attrs

from pybuild.errors import StoreError
from pybuild.results.tables import html_table, size_text, text_table
from pybuild.shown import Shown, pretty_text
from pybuild.store.tree import Entry, LayeredTree

Kind: TypeAlias = Literal["added", "changed", "removed"]
_BLOCK: Final = 1 << 18


@attrs.frozen(kw_only=True)
class Change(Shown):
    """One path that differs. `what` says in which respects, `before` and `after` are sizes in bytes (-1: no file)."""

    kind: Kind
    path: str
    what: tuple[str, ...] = ()
    before: int = -1
    after: int = -1

    def cells(self) -> tuple[str, ...]:
        """The cells of a row of a table."""
        sizes = f"{size_text(self.before) or '-'} -> {size_text(self.after) or '-'}"
        shown = (
            size_text(max(self.before, self.after)) if self.kind != "changed" or self.before == self.after else sizes
        )
        return self.kind, self.path, shown, ", ".join(self.what)


class Changes(Sequence[Change]):
    """All that differs, sorted by path; a directory stands before what is in it.

    Args:
        changes: one per path.
    """

    _repr_pretty_ = pretty_text
    _HEADING: Final = ("CHANGE", "PATH", "SIZE", "WHAT")

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = tuple(changes)

    def paths(self, kind: Kind) -> list[str]:
        """The paths that were added, changed or removed."""
        return [change.path for change in self._changes if change.kind == kind]

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> Changes: ...
    def __getitem__(self, index: int | slice) -> Change | Changes:
        return Changes(self._changes[index]) if isinstance(index, slice) else self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    def __repr__(self) -> str:
        counts = Counter(change.kind for change in self._changes)
        told = ", ".join(f"{counts[kind]} {kind}" for kind in ("added", "changed", "removed") if counts[kind])
        return f"<Changes {told or 'none'}>"

    def __str__(self) -> str:
        if not self._changes:
            return "no changes"
        return text_table(self._HEADING, [change.cells() for change in self._changes], right=[2])

    def _repr_html_(self) -> str:
        if not self._changes:
            return "<p>no changes</p>"
        return html_table(self._HEADING, [change.cells() for change in self._changes], right=[2])


def changes_between(before: LayeredTree, after: LayeredTree) -> Changes:
    """What leads from one tree to the other."""
    found: list[Change] = []
    stack: list[tuple[Entry | None, Entry | None]] = [(before.root, after.root)]
    while stack:
        old, new = stack.pop()
        found += _changes(old, new)
        children = list(_pairs(before, old, after, new))
        stack += reversed(children)
    return Changes(found)


def _pairs(
    before: LayeredTree, old: Entry | None, after: LayeredTree, new: Entry | None
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """The children of two entries, side by side, where looking at them can show anything."""
    if old is not None and new is not None and old.dirs and old.dirs == new.dirs:
        return
    olds = {e.name: e for e in before.children(old)} if old is not None and old.is_dir else {}
    news = {e.name: e for e in after.children(new)} if new is not None and new.is_dir else {}
    for name in sorted(olds.keys() | news.keys(), key=os.fsencode):
        yield olds.get(name), news.get(name)


def _changes(old: Entry | None, new: Entry | None) -> list[Change]:
    if old is None:
        assert new is not None
        return [Change(kind="added", path=new.path, after=_size(new))]
    if new is None:
        return [Change(kind="removed", path=old.path, before=_size(old))]
    what = _differences(old, new) if old.path != "/" else ()
    if not what:
        return []
    return [Change(kind="changed", path=new.path, what=what, before=_size(old), after=_size(new))]


def _size(entry: Entry) -> int:
    return entry.stat.st_size if statmod.S_ISREG(entry.stat.st_mode) else -1


def _differences(old: Entry, new: Entry) -> tuple[str, ...]:
    one, two = old.stat, new.stat
    if old.real == new.real or (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino):
        return ()
    if statmod.S_IFMT(one.st_mode) != statmod.S_IFMT(two.st_mode):
        return ("type",)
    found = [
        word
        for word, differs in (
            ("mode", statmod.S_IMODE(one.st_mode) != statmod.S_IMODE(two.st_mode)),
            ("owner", (one.st_uid, one.st_gid) != (two.st_uid, two.st_gid)),
            ("attributes", old.xattrs != new.xattrs),
            ("content", _content_differs(old, new)),
        )
        if differs
    ]
    return tuple(found)


def _content_differs(old: Entry, new: Entry) -> bool:
    mode = old.stat.st_mode
    if statmod.S_ISLNK(mode):
        return os.readlink(old.real) != os.readlink(new.real)
    if statmod.S_ISCHR(mode) or statmod.S_ISBLK(mode):
        return old.stat.st_rdev != new.stat.st_rdev
    if not statmod.S_ISREG(mode):
        return False
    if old.stat.st_size != new.stat.st_size:
        return True
    try:
        with open(old.real, "rb") as one, open(new.real, "rb") as two:
            while True:
                left, right = one.read(_BLOCK), two.read(_BLOCK)
                if left != right:
                    return True
                if not left:
                    return False
    except PermissionError:
        raise StoreError(f'"{new.path}": only the owner in the store may read it') from None
