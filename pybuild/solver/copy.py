"""The copy action: files and directories from one tree into another. Mirrors tonistiigi/fsutil's copy package.

Where a copied file keeps its owner, mode and time, its inode is shared with the source snapshot, so that copying a
directory costs little more than listing it.
"""

from __future__ import annotations

import os
import posixpath
import stat as statmod
from collections.abc import Iterator

import attrs

from pybuild.errors import NotFound, StoreError
from pybuild.llb.files import UNSET_MODE, CopyAction
from pybuild.patterns import ParentState, PatternMatcher
from pybuild.solver.chmod import apply_mode
from pybuild.solver.fileactions import IDs, make_directories, mtime_of, set_times
from pybuild.store.attributes import CAPABILITY, Attributes, attributes_of
from pybuild.store.tree import Entry, FileKind, LayeredTree
from pybuild.store.treewriter import TreeWriter
from pybuild.store.wildcard import resolve_wildcards


def copy(writer: TreeWriter, tree: LayeredTree, action: CopyAction, owner: IDs | None) -> None:
    """Copy what `action.source` stands for in `tree` to `action.dest`.

    Raises:
        NotFound: no such source, or a required path is missing.
        StoreError: something in the destination is in the way.
    """
    source, dest = clean_path(action.source), clean_path(action.dest)
    if not action.create_dest_path:
        parent = posixpath.dirname(writer.view.resolve(action.dest))
        if writer.view.lookup(parent, follow=False) is None:
            raise StoreError(f"failed to stat {action.dest}: lstat {parent}: no such file or directory")
    paths = [source]
    if action.allow_wildcard:
        paths = resolve_wildcards(tree, source, follow=action.follow_symlink)
        if not paths and not action.allow_empty_wildcard:
            raise NotFound(f"{source} not found")
    missing = set(action.required_paths)
    for path in paths:
        if action.attempt_unpack and _unpacked(writer, tree, path, dest, action, owner):
            continue
        copier = Copier(writer, tree, action, owner)
        copier.copy(path, dest)
        missing -= {required for required in missing if copier.has_copied(required)}
    for required in action.required_paths:
        if required in missing:
            raise NotFound(f'"{required}": not found')


def clean_path(path: str) -> str:
    """An absolute, lexically clean path that keeps a final `/` or `/.`, which say something about directories."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/."):
        return cleaned.rstrip("/") + "/."
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def _unpacked(
    writer: TreeWriter, tree: LayeredTree, path: str, dest: str, action: CopyAction, owner: IDs | None
) -> bool:
    entry = tree.lookup(path)
    if entry is None or entry.kind is not FileKind.FILE:
        return False
    from pybuild.solver.unpack import is_archive, unpack

    if not is_archive(entry.real):
        return False
    target = writer.view.resolve(dest)
    make_directories(writer, target, 0o755, owner, mtime_of(action.timestamp))
    unpack(writer, entry.real, target, owner)
    return True


@attrs.define
class _Frame:
    """A directory being copied: what of it is still to come, and what has to be done to it at the end."""

    entry: Entry
    relative: str
    target: str
    children: Iterator[Entry]
    included: ParentState | None = None
    excluded: ParentState | None = None
    chosen: bool = True
    copied: bool = False  # it exists in the destination; directories on the way to an included file come late
    created: bool = False


class Copier:
    """One source path's copy. Hard links are kept among the files that one copier sees, and nowhere else."""

    def __init__(self, writer: TreeWriter, tree: LayeredTree, action: CopyAction, owner: IDs | None) -> None:
        self._writer = writer
        self._tree = tree
        self._action = action
        self._owner = owner
        self._mtime_ns = mtime_of(action.timestamp)
        self._include = PatternMatcher(action.include_patterns) if action.include_patterns else None
        self._exclude = PatternMatcher(action.exclude_patterns) if action.exclude_patterns else None
        self._links: dict[tuple[str, int], str] = {}
        self._copied: list[str] = []
        self._source = ""
        self._stack: list[_Frame] = []

    def has_copied(self, path: str) -> bool:
        """Whether `path` of the source tree, or something whose path begins so, was among what was copied."""
        prefix = "/" + path.lstrip("/")
        return any(copied.startswith(prefix) for copied in self._copied)

    def copy(self, source: str, dest: str) -> None:
        """Copy `source` to `dest`, both clean."""
        action, writer = self._action, self._writer
        head, _, tail = dest.rpartition("/")
        created = self._make_directories(writer.view.resolve(head if tail not in {"", "."} else dest))
        target = writer.view.resolve(dest)
        entry = self._tree.lookup(source, follow=action.follow_symlink)
        if entry is None:
            raise NotFound(f'"{posixpath.normpath(source)}": not found')
        self._source = posixpath.normpath(source).rstrip("/")
        existing = writer.view.lookup(target)
        contents = action.dir_copy_contents and entry.is_dir
        if existing is not None and (existing.is_dir if not entry.is_dir else not contents):
            target = posixpath.normpath(posixpath.join(target, posixpath.basename(source.rstrip("/")) or "."))
        made_by_copy = contents and existing is None
        created += self._make_directories(target if made_by_copy else posixpath.dirname(target))
        self._run(entry, target)
        set_times(writer, created, self._mtime_ns)

    def copy_below(self, entry: Entry, target: str) -> None:
        """Copy one entry of a directory that is being copied, with all below it, to where nothing or a file is."""
        above = _Frame(entry, "", posixpath.dirname(target), iter(()), copied=True)
        self._visit(entry, entry.name, target, above)
        self._drain()

    def _make_directories(self, path: str) -> list[str]:
        mode = self._action.mode if self._action.mode != UNSET_MODE and not self._action.mode_str else 0o755
        return make_directories(self._writer, path, mode, self._owner, self._mtime_ns)

    # -- walking ---------------------------------------------------------------------------------------------------

    def _run(self, entry: Entry, target: str) -> None:
        self._visit(entry, "", target, None)
        self._drain()

    def _drain(self) -> None:
        """Copy what is in the directories that were visited."""
        while self._stack:
            frame = self._stack[-1]
            child = next(frame.children, None)
            if child is None:
                self._stack.pop()
                self._finish(frame)
                continue
            relative = f"{frame.relative}/{child.name}" if frame.relative else child.name
            self._visit(child, relative, f"{frame.target.rstrip('/')}/{child.name}", frame)

    def _visit(self, entry: Entry, relative: str, target: str, parent: _Frame | None) -> None:
        """Copy a file now; push a directory, whose children are visited next."""
        chosen, settled, included, excluded = self._match(relative, parent)
        if not chosen and (settled or not entry.is_dir):
            return
        existing = None
        if parent is None or not parent.created:
            existing = self._writer.view.lookup(target, follow=False)
        if chosen:
            existing = self._clear_way(entry, target, existing)
            self._make_parents()
            if self._action.required_paths:
                self._copied.append(f"{self._source}/{relative}" if relative else self._source)
        if not entry.is_dir:
            self._copy_leaf(entry, target, existing)
            return
        children = iter(()) if settled else iter(self._tree.children(entry))
        frame = _Frame(entry, relative, target, children, included, excluded, chosen)
        if chosen:
            self._make_directory(frame, existing)
        self._stack.append(frame)

    def _match(self, relative: str, parent: _Frame | None) -> tuple[bool, bool, ParentState | None, ParentState | None]:
        """Whether the patterns choose a path, and whether that settles everything inside it as left out."""
        included = excluded = None
        if not relative or parent is None:
            return True, False, None, None
        chosen, settled = True, False
        if self._include is not None:
            chosen, included = self._include.matches_using_parents(relative, parent.included)
            settled = not chosen and self._include.is_settled(relative, matched=False)
        if self._exclude is not None:
            dropped, excluded = self._exclude.matches_using_parents(relative, parent.excluded)
            chosen = chosen and not dropped
            settled = settled or (dropped and self._exclude.is_settled(relative, matched=True))
        return chosen, settled, included, excluded

    # -- directories -----------------------------------------------------------------------------------------------

    def _clear_way(self, entry: Entry, target: str, existing: Entry | None) -> Entry | None:
        """Remove what the action says shall be replaced; returns what is still there."""
        if existing is None or not self._action.always_replace_existing_dest_paths:
            return existing
        if entry.is_dir and existing.is_dir:
            return existing
        self._writer.remove(target)
        return None

    def _make_parents(self) -> None:
        """Create directories that were passed without being chosen themselves: something inside them now is."""
        for frame in self._stack:
            if not frame.copied:
                self._make_directory(frame, self._writer.view.lookup(frame.target, follow=False))

    def _make_directory(self, frame: _Frame, existing: Entry | None) -> None:
        frame.copied = True
        if existing is None:
            self._writer.mkdir(frame.target, self.attributes(frame.entry))
            frame.created = True
        elif not existing.is_dir:
            raise StoreError(f"cannot copy to non-directory: {frame.target}")

    def _finish(self, frame: _Frame) -> None:
        """Everything in the directory is there: what would have changed its time is over."""
        if not frame.copied:
            return
        if frame.created or not frame.relative:
            # The top directory keeps its mode and owner when it was there before, but takes the source's time.
            self._writer.set_mtime(frame.target, self.mtime_ns(frame.entry))
        elif frame.chosen:
            self._writer.set_attributes(frame.target, self.attributes(frame.entry))
        else:
            existing = attributes_of(self._writer.view.need(frame.target, follow=False).stat)
            mode = statmod.S_IMODE(frame.entry.stat.st_mode)
            self._writer.set_attributes(frame.target, existing._replace(mode=mode))

    # -- files -----------------------------------------------------------------------------------------------------

    def _copy_leaf(self, entry: Entry, target: str, existing: Entry | None) -> None:
        if existing is not None and existing.is_dir:
            raise StoreError(f"cannot replace to directory {target} with file")
        status = entry.stat
        if statmod.S_ISREG(status.st_mode):
            if status.st_nlink > 1:
                # One inode may serve several layers of a tree; only names within one layer are hard links.
                first = self._links.setdefault((entry.layer, status.st_ino), target)
                if first != target:
                    self._writer.link(target, first)
                    return
            self._writer.copy_file(target, entry, self.attributes(entry))
        elif statmod.S_ISLNK(status.st_mode):
            self._writer.symlink(target, os.readlink(entry.real), self.attributes(entry))
        else:
            # As upstream clears the socket bits, a socket becomes an empty file and a block device a character device.
            kind = statmod.S_IFMT(status.st_mode) & ~statmod.S_IFSOCK
            self._writer.mknod(target, kind, status.st_rdev, self.attributes(entry))

    def attributes(self, entry: Entry) -> Attributes:
        """What the copy of an entry has."""
        status = entry.stat
        mode = statmod.S_IMODE(status.st_mode)
        if self._action.mode_str:
            mode = apply_mode(self._action.mode_str, mode, is_dir=entry.is_dir)
        elif self._action.mode != UNSET_MODE:
            mode = self._action.mode & 0o7777
        uid, gid = self._owner or (status.st_uid, status.st_gid)
        mtime_ns = self.mtime_ns(entry)
        xattrs = entry.xattrs and tuple(pair for pair in entry.xattrs if pair[0] == CAPABILITY)
        return Attributes(mode, uid, gid, mtime_ns, xattrs)

    def mtime_ns(self, entry: Entry) -> int:
        """The time that the copy of an entry has, in nanoseconds since the epoch."""
        return self._mtime_ns if self._mtime_ns is not None else entry.stat.st_mtime_ns
