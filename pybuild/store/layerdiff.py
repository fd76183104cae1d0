"""Writes the own changes of a snapshot as a layer archive: what `apply.py` reads, the other way round.

Equal snapshots give equal bytes: paths in order, whole seconds, explicit whiteouts for every removed name. A directory
that only lies on the way to a change is written as it is; one that nothing happened in is left out. Mirrors
BuildKit's util/overlay and containerd's archive/tar.go, as observed (whole seconds, no opaque markers, of extended
attributes only capabilities).
"""

from __future__ import annotations

import os
import stat as statmod
from collections.abc import Iterator
from typing import Final, NamedTuple

from pybuild.protocols import Snapshotter
from pybuild.store.apply import WHITEOUT
from pybuild.store.attributes import CAPABILITY, Xattrs, is_opaque, read_xattrs
from pybuild.store.compression import Writable
from pybuild.store.sameness import same_content, same_owner_and_mode
from pybuild.store.tarwrite import Header, TarWriter
from pybuild.store.tree import Entry, LayeredTree

_NANOSECONDS: Final = 1_000_000_000
NO_LIMIT: Final = 1 << 62
"""A time that none is later than, in seconds."""


class Change(NamedTuple):
    """A path that a snapshot changes: its new entry, or None when it is gone. `on_the_way`: itself unchanged."""

    path: str
    entry: Entry | None
    on_the_way: bool = False


def changes(snapshots: Snapshotter, key: str) -> Iterator[Change]:
    """What the snapshot `key` changes in its parent, parents first, names in the order of their bytes.

    The root itself is never among them: its mode and times are not kept in layers.
    """
    parent = snapshots.stat(key).parent
    before = LayeredTree(snapshots.lowers(parent) if parent else ())
    whole = snapshots.name == "native"
    after = LayeredTree(snapshots.lowers(key))
    upper = LayeredTree(snapshots.lowers(key)[:1]) if whole else LayeredTree(snapshots.own(key))
    return _Comparison(before, after, upper, everything=whole).run()


class _Level:
    """A directory being walked: what is left of it, and its own change while nothing below it was written."""

    __slots__ = ("left", "waiting")

    def __init__(self, left: Iterator[Change], waiting: Change | None = None) -> None:
        self.left = left
        self.waiting = waiting


class _Comparison:
    """Walks the directories that may hold changes.

    `upper` is where changes are looked for: the snapshot's own directories, or the whole tree if that is all there is.
    """

    def __init__(self, before: LayeredTree, after: LayeredTree, upper: LayeredTree, *, everything: bool) -> None:
        self._before = before
        self._after = after
        self._upper = upper
        self._everything = everything

    def run(self) -> Iterator[Change]:
        levels = [_Level(iter(self._of_directory("/", self._upper.root)))]
        while levels:
            change = next(levels[-1].left, None)
            if change is None:
                levels.pop()
                continue
            entry = change.entry
            if not change.on_the_way:
                for level in levels:
                    if level.waiting is not None:
                        yield level.waiting
                        level.waiting = None
                yield change
            if entry is not None and entry.is_dir:
                left = iter(self._of_directory(entry.path, entry))
                levels.append(_Level(left, change if change.on_the_way else None))

    def _of_directory(self, path: str, upper: Entry) -> list[Change]:
        old_directory = self._before.lookup(path, follow=False)
        if old_directory is not None and not old_directory.is_dir:
            old_directory = None
        found: list[Change] = []
        for child in self._upper.children(upper):
            old = self._before.child(old_directory, child.name) if old_directory is not None else None
            if child.is_dir:
                found.append(Change(child.path, child, on_the_way=_same(old, child)))
            elif not _same(old, child):
                found.append(Change(child.path, child))
        if old_directory is None:
            return found
        gone = self._gone(path, old_directory)
        return sorted([*found, *gone], key=lambda change: os.fsencode(change.path)) if gone else found

    def _gone(self, path: str, old_directory: Entry) -> list[Change]:
        now = self._after.lookup(path, follow=False)
        if not self._everything and not self._may_remove(path):
            return []
        left = {child.name for child in self._after.children(now)} if now is not None and now.is_dir else set[str]()
        return [Change(child.path, None) for child in self._before.children(old_directory) if child.name not in left]

    def _may_remove(self, path: str) -> bool:
        """Whether the snapshot's own directories hold whiteouts, or hide all that is below them."""
        own = self._upper.lookup(path, follow=False)
        return own is not None and any(_hides(real) for real in own.dirs)


def _hides(directory: str) -> bool:
    """Whether a directory of a layer shows less than what lies below it."""
    with os.scandir(directory) as items:
        for item in items:
            if not (item.is_file(follow_symlinks=False) or item.is_dir(follow_symlinks=False) or item.is_symlink()):
                return True
    return is_opaque(directory)


def _same(old: Entry | None, new: Entry) -> bool:
    """Whether nothing that a layer keeps has changed."""
    if old is None or old.is_dir != new.is_dir:
        return False
    if not same_owner_and_mode(old.stat, new.stat) or _kept_xattrs(old) != _kept_xattrs(new):
        return False
    return old.stat.st_mtime_ns == new.stat.st_mtime_ns if new.is_dir else same_content(old, new)


def _kept_xattrs(entry: Entry) -> Xattrs:
    return tuple(pair for pair in read_xattrs(entry.real) if pair[0] == CAPABILITY)


def write_layer(out: Writable, snapshots: Snapshotter, key: str, *, epoch: int | None = None) -> None:
    """Write the layer of a committed snapshot.

    Args:
        out: takes the archive.
        snapshots: the store's.
        key: which snapshot.
        epoch: seconds since 1970; later times become this one.
    """
    writer = TarWriter(out)
    links: dict[tuple[int, int], str] = {}
    latest = NO_LIMIT if epoch is None else epoch
    for change in changes(snapshots, key):
        if change.entry is None:
            directory, _, name = change.path[1:].rpartition("/")
            place = f"{directory}/{WHITEOUT}{name}" if directory else f"{WHITEOUT}{name}"
            writer.add(Header(place, statmod.S_IFREG, mode=0))
        else:
            write_entry(writer, change.entry, links, latest)
    writer.close()


def write_entry(
    writer: TarWriter, entry: Entry, links: dict[tuple[int, int], str], latest: int, folder: str = ""
) -> None:
    """Write one entry of a tree as a member, as layers keep it.

    Args:
        writer: where to.
        entry: what; not the root.
        links: the first name of every inode with several, filled in here.
        latest: seconds since 1970; later times become this one.
        folder: what to put before its name, such as `linux_arm64/`.
    """
    status = entry.stat
    kind = statmod.S_IFMT(status.st_mode)
    if kind == statmod.S_IFSOCK:
        return  # a socket means nothing without the process behind it, and archives have no word for it
    name = folder + entry.path[1:] + ("/" if entry.is_dir else "")
    link = ""
    if kind == statmod.S_IFLNK:
        link = os.readlink(entry.real)
    elif not entry.is_dir and status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), name)
        if first is not name:
            kind, link = 0, first
    header = Header(
        name,
        kind,
        mode=statmod.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == statmod.S_IFREG else 0,
        mtime=min(status.st_mtime_ns // _NANOSECONDS, latest),
        link=link,
        device=status.st_rdev if kind in (statmod.S_IFCHR, statmod.S_IFBLK) else 0,
        xattrs=_kept_xattrs(entry) if kind else (),
    )
    if kind == statmod.S_IFREG:
        with open(entry.real, "rb", buffering=0) as file:
            writer.add_file(header, file)
    else:
        writer.add(header)
