"""Diff of two trees as changes in a layer.

Mirrors snapshot/diffapply_linux.go: what differs is written with the directories that lead to it, removals become
whiteouts. Stacking layers without copying is the snapshotter's `restack`; this is for everything it cannot do.
"""

from __future__ import annotations

import os
import stat as statmod

from pybuild.store.attributes import CAPABILITY, attributes_of, read_xattrs, xattr_names
from pybuild.store.sameness import same_content, same_owner_and_mode
from pybuild.store.tree import Entry, LayeredTree
from pybuild.store.treewriter import TreeWriter


def write_diff(lower: LayeredTree, upper: LayeredTree, out: TreeWriter) -> None:
    """Write what `upper` adds to, changes in and removes from `lower`.

    Equal means: type, mode, owner, device and capabilities are, and for what is no directory also time and content.

    Args:
        lower: before.
        upper: after.
        out: a layer for the changes. Removals are recorded even when nothing lies under it yet, except by a writer
            of whole trees (`native`), which just does not have what was removed.
    """
    _Diff(lower, upper, out).run()


class _Diff:
    """One comparison on its way into a layer."""

    def __init__(self, lower: LayeredTree, upper: LayeredTree, out: TreeWriter) -> None:
        self._lower = lower
        self._upper = upper
        self._out = out
        self._directories: dict[str, Entry] = {"/": upper.root}
        self._links: dict[tuple[str, int], str] = {}

    def run(self) -> None:
        """Write all changes, then the times of all directories that were touched."""
        stack: list[tuple[Entry | None, Entry]] = [(self._lower.root, self._upper.root)]
        while stack:
            before, after = stack.pop()
            old = {entry.name: entry for entry in self._lower.children(before)} if before is not None else {}
            for entry in self._upper.children(after):
                was = old.pop(entry.name, None)
                if was is None or was.is_dir != entry.is_dir or not _same(was, entry):
                    self._write(entry)
                if entry.is_dir and (was is None or was.dirs != entry.dirs):
                    stack.append((was if was is not None and was.is_dir else None, entry))
            for was in old.values():
                self._write_parents(was.path)
                if self._out.whiteouts != "native":
                    self._out.whiteout(was.path)
        for path, entry in reversed(self._directories.items()):
            if path != "/":
                self._out.set_mtime(path, entry.stat.st_mtime_ns)

    def _write(self, entry: Entry) -> None:
        self._write_parents(entry.path)
        if entry.is_dir:
            self._write_directory(entry)
        else:
            self._write_leaf(entry)

    def _write_parents(self, path: str) -> None:
        parent = path[: path.rindex("/")] or "/"
        missing: list[Entry] = []
        while parent not in self._directories:
            missing.append(self._upper.need(parent, follow=False))
            parent = parent[: parent.rindex("/")] or "/"
        for entry in reversed(missing):
            self._write_directory(entry)

    def _write_directory(self, entry: Entry) -> None:
        attributes = attributes_of(entry.stat, read_xattrs(entry.real))
        existing = self._out.view.lookup(entry.path, follow=False)
        if existing is not None and existing.is_dir:
            self._out.set_attributes(entry.path, attributes)
        else:
            if existing is not None:
                self._out.remove(entry.path)
            self._out.mkdir(entry.path, attributes)
        self._directories[entry.path] = entry

    def _write_leaf(self, entry: Entry) -> None:
        out, status = self._out, entry.stat
        existing = out.view.lookup(entry.path, follow=False)
        if existing is not None and existing.is_dir:
            out.remove(entry.path)
        if status.st_nlink > 1:
            first = self._links.setdefault((entry.layer, status.st_ino), entry.path)
            if first != entry.path:
                out.link(entry.path, first)
                return
        attributes = attributes_of(status, read_xattrs(entry.real))
        if statmod.S_ISREG(status.st_mode):
            out.copy_file(entry.path, entry, attributes)
        elif statmod.S_ISLNK(status.st_mode):
            out.symlink(entry.path, os.readlink(entry.real), attributes)
        else:
            out.mknod(entry.path, statmod.S_IFMT(status.st_mode), status.st_rdev, attributes)


def _same(was: Entry, now: Entry) -> bool:
    """Whether an entry has not changed (two directories: apart from what is in them)."""
    if was.real == now.real:
        return True
    old, new = was.stat, now.stat
    if (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino):
        return True
    if not same_owner_and_mode(old, new) or _capability(was) != _capability(now):
        return False
    return now.is_dir or same_content(was, now)


def _capability(entry: Entry) -> bytes:
    return os.getxattr(entry.real, CAPABILITY) if entry.real and CAPABILITY in xattr_names(entry.real) else b""
