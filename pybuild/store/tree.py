"""A read-only view of layered directories as one tree, without mounting anything.

`LayeredTree` gives what the kernel's overlayfs would show of the same directories: whiteouts (character device 0:0)
hide, opaque directories hide what lies below them, directories merge, everything else covers. Symbolic links are
resolved inside the tree and cannot leave it. Used by file operations, content hashes and tree exports.
"""

from __future__ import annotations

import os
import stat as statmod
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from pybuild.errors import NotFound, StoreError
from pybuild.store.attributes import Xattrs, is_opaque, is_whiteout, read_xattrs

MAX_LINKS: Final = 40


class FileKind(StrEnum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    CHARACTER = "character device"
    BLOCK = "block device"
    FIFO = "fifo"
    SOCKET = "socket"


_KINDS = {
    statmod.S_IFREG: FileKind.FILE,
    statmod.S_IFDIR: FileKind.DIRECTORY,
    statmod.S_IFLNK: FileKind.SYMLINK,
    statmod.S_IFCHR: FileKind.CHARACTER,
    statmod.S_IFBLK: FileKind.BLOCK,
    statmod.S_IFIFO: FileKind.FIFO,
    statmod.S_IFSOCK: FileKind.SOCKET,
}
# The times once more as floats and in nanoseconds: left out, they would be None.
_EMPTY_ROOT = os.stat_result((statmod.S_IFDIR | 0o755, 0, 0, 2, 0, 0, 0, *[0] * 3, *[0.0] * 3, *[0] * 3))


class Entry:
    """One path of a tree.

    Attributes:
        path: absolute inside the tree.
        real: where it lies on disk, in the topmost layer that has it; "" only for the root of the empty tree.
        dirs: for a directory, the directories on disk that merge into it, topmost first; otherwise empty.
    """

    __slots__ = ("_children", "_stat", "_xattrs", "dirs", "path", "real")

    def __init__(self, path: str, real: str, status: os.stat_result | None, dirs: tuple[str, ...] = ()) -> None:
        self.path = path
        self.real = real
        self.dirs = dirs
        self._stat = status
        self._children: dict[str, Entry | None] | None = None
        self._xattrs: Xattrs | None = None

    @property
    def stat(self) -> os.stat_result:
        """The lstat of `real`, read when first asked for."""
        found = self._stat
        if found is None:
            found = self._stat = os.lstat(self.real) if self.real else _EMPTY_ROOT
        return found

    @property
    def kind(self) -> FileKind:
        """What it is."""
        return _KINDS[statmod.S_IFMT(self.stat.st_mode)]

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory (known without reading its status)."""
        return bool(self.dirs) or self.path == "/"

    @property
    def name(self) -> str:
        """The last component of the path, "" for the root."""
        return self.path[self.path.rindex("/") + 1 :]

    @property
    def xattrs(self) -> Xattrs:
        """The file's own extended attributes, sorted by name, read when first asked for."""
        found = self._xattrs
        if found is None:
            found = self._xattrs = read_xattrs(self.real) if self.real else ()
        return found

    @property
    def layer(self) -> str:
        """The root of the layer that `real` lies in."""
        return self.real[: len(self.real) - len(self.path)] if self.path != "/" else self.real

    def __repr__(self) -> str:
        return f"<Entry {self.path} at {self.real}>"


class LayeredTree:
    """The tree that overlayfs would show of some directories.

    Directory merges are remembered, so a tree is for directories that do not change meanwhile (`TreeWriter` keeps
    the view of its own changes coherent). Thread-safe.

    Args:
        lowers: the layers, topmost first. None at all is the empty tree.

    Example:
        >>> LayeredTree(()).lookup("/etc/passwd") is None
        True
    """

    def __init__(self, lowers: Sequence[Path | str]) -> None:
        self.lowers = tuple(os.fspath(lower).rstrip("/") or "/" for lower in lowers)
        self.root = Entry("/", self.lowers[0] if self.lowers else "", None, self.lowers)

    # -- finding ---------------------------------------------------------------------------------------------------

    def lookup(self, path: str, *, follow: bool = True) -> Entry | None:
        """The entry at `path`, or None.

        Args:
            path: absolute inside the tree; links among its parents are always followed.
            follow: follow the last component too.

        Raises:
            StoreError: more than 40 links.
        """
        return self._find(path, follow, "/")[1]

    def resolve(self, path: str, *, follow: bool = True, within: str = "/") -> str:
        """`path` with all links resolved inside the tree; components that do not exist stay as they are.

        Args:
            path: absolute, or relative to `within`.
            follow: resolve the last component too.
            within: a resolved directory that takes the place of the root: links and `..` cannot leave it.

        Raises:
            StoreError: more than 40 links.
        """
        return self._find(path, follow, within)[0]

    def _find(self, path: str, follow: bool, within: str) -> tuple[str, Entry | None]:
        base = self.root if within == "/" else self._find(within, follow=False, within="/")[1]
        prefix = "" if within == "/" else within
        stack: list[Entry | None] = [base]
        names: list[str] = []
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if names:
                    names.pop()
                    stack.pop()
                continue
            parent = stack[-1]
            child = self.child(parent, part) if parent is not None else None
            if child is not None and not child.dirs and (follow or any(todo)) and statmod.S_ISLNK(child.stat.st_mode):
                links += 1
                if links > MAX_LINKS:
                    raise StoreError(f'"{path}": too many levels of symbolic links')
                target = os.readlink(child.real)
                if target.startswith("/"):
                    stack, names = [base], []
                todo.extend(target.split("/")[::-1])
                continue
            stack.append(child)
            names.append(part)
        return (f"{prefix}/{'/'.join(names)}" if names else prefix or "/"), stack[-1]

    def child(self, directory: Entry, name: str) -> Entry | None:
        """The entry `name` of a directory entry, not followed; None when there is none."""
        children = directory._children
        if children is None:
            children = directory._children = {}
        try:
            return children[name]
        except KeyError:
            found = self._merge_child(directory, name)
            children[name] = found
            return found

    def _merge_child(self, directory: Entry, name: str) -> Entry | None:
        path = f"{directory.path}/{name}" if directory.path != "/" else f"/{name}"
        dirs: list[str] = []
        top: os.stat_result | None = None
        last = len(directory.dirs) - 1
        for position, parent in enumerate(directory.dirs):
            real = f"{parent}/{name}"
            try:
                status = os.lstat(real)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not statmod.S_ISDIR(status.st_mode):
                if dirs or is_whiteout(status):
                    break
                return Entry(path, real, status)
            if top is None:
                top = status
            dirs.append(real)
            if position < last and is_opaque(real):
                break
        return Entry(path, dirs[0], top, tuple(dirs)) if dirs else None

    # -- listing ---------------------------------------------------------------------------------------------------

    def children(self, directory: Entry) -> list[Entry]:
        """The entries of a directory entry, sorted by the bytes of their names."""
        found: dict[str, Entry | None] = {}
        merging: dict[str, list[str]] = {}  # directories that lower layers may still add to
        prefix = directory.path if directory.path != "/" else ""
        last = len(directory.dirs) - 1
        for position, parent in enumerate(directory.dirs):
            for item in _scan(parent):
                name = item.name
                is_dir = item.is_dir(follow_symlinks=False)
                if name not in found:
                    path = f"{prefix}/{name}"
                    found[name] = Entry(path, item.path, None, (item.path,)) if is_dir else _leaf(item, path)
                    if is_dir and position < last and not is_opaque(item.path):
                        merging[name] = [item.path]
                elif name in merging:
                    if is_dir:
                        merging[name].append(item.path)
                    if not is_dir or (position < last and is_opaque(item.path)):
                        _merged(found[name], merging.pop(name))
        for name, dirs in merging.items():
            _merged(found[name], dirs)
        return [entry for name in sorted(found, key=os.fsencode) if (entry := found[name]) is not None]

    def listdir(self, path: str) -> list[str]:
        """Names in a directory, sorted. Raises NotFound, StoreError when it is no directory."""
        entry = self.need(path)
        if not entry.is_dir:
            raise StoreError(f'"{path}": not a directory')
        return [child.name for child in self.children(entry)]

    def walk(self, path: str = "/") -> Iterator[Entry]:
        """`path` and all below it, parents first, names sorted; links are not followed. Raises NotFound."""
        stack = [self.need(path, follow=False)]
        while stack:
            entry = stack.pop()
            yield entry
            if entry.is_dir:
                stack.extend(reversed(self.children(entry)))

    # -- reading ---------------------------------------------------------------------------------------------------

    def need(self, path: str, *, follow: bool = True) -> Entry:
        """As `lookup`, for a path that must be there. Raises NotFound."""
        entry = self.lookup(path, follow=follow)
        if entry is None:
            raise NotFound(f'"{path}": not found')
        return entry

    def readlink(self, path: str) -> str:
        """The text of the symbolic link at `path`. Raises NotFound, OSError when it is none."""
        return os.readlink(self.need(path, follow=False).real)

    def open(self, path: str) -> BinaryIO:
        """A reader of the regular file at `path`. Raises NotFound, StoreError when it is something else."""
        entry = self.need(path)
        if entry.kind is not FileKind.FILE:
            raise StoreError(f'"{path}": not a regular file')
        return open(entry.real, "rb")

    def read_text(self, path: str) -> str:
        """The file's text, undecodable bytes kept as surrogates. Raises as `open`."""
        with self.open(path) as file:
            return file.read().decode(errors="surrogateescape")

    def forget(self, path: str) -> None:
        """Drop what is remembered of `path`, which somebody has just changed, and its parent's status."""
        *parents, name = path.split("/")[1:]
        entry: Entry | None = self.root
        for part in parents:
            entry = entry._children.get(part) if entry is not None and entry._children is not None else None
        if entry is not None:
            entry._stat = None
            if entry._children is not None:
                entry._children.pop(name, None)


def _scan(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as items:
        return list(items)


def _merged(entry: Entry | None, dirs: list[str]) -> None:
    if entry is not None:
        entry.dirs = tuple(dirs)


def _leaf(item: os.DirEntry[str], path: str) -> Entry | None:
    """The entry of something that is no directory; None for a whiteout."""
    if item.is_file(follow_symlinks=False) or item.is_symlink():
        return Entry(path, item.path, None)
    status = item.stat(follow_symlinks=False)
    return None if is_whiteout(status) else Entry(path, item.path, status)
