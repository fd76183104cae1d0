"""`FileSystem`: the files of a result, read where the engine's store has them, without a container or a mount."""

from __future__ import annotations

import os
import posixpath
import stat as statmod
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from pybuild.errors import NotFound, StoreError
from pybuild.results.listing import DiskUse, FileInfo, Listing, Usage
from pybuild.store.tree import Entry, FileKind, LayeredTree

if TYPE_CHECKING:
    from pybuild.results.changes import Changes
    from pybuild.store.store import Store


class FileSystem:
    """The files of a built state. Paths are absolute or seen from `/`; links are followed inside, never out of it.

    While this value lives, garbage collection leaves its files alone.

    Args:
        tree: the files.

    Example:
        >>> from pybuild import scratch
        >>> scratch().write("/motd", "welcome").fs.read_text("/motd")  # doctest: +SKIP
        'welcome'
    """

    def __init__(self, tree: LayeredTree) -> None:
        self.tree = tree

    @classmethod
    def of_snapshot(cls, store: Store, snapshot: str) -> Self:
        """The files of a committed snapshot ("": none), held by a lease.

        Raises:
            NotFound: it was collected.
        """
        holding = ExitStack()
        try:
            if snapshot:
                holding.enter_context(store.leases.lease()).add("snapshot", snapshot)
            made = cls(LayeredTree(store.snapshots.lowers(snapshot)))
        except NotFound:
            holding.close()
            raise NotFound("the files of this result were removed from the store", hint="build it again") from None
        weakref.finalize(made, holding.close)
        return made

    # ------------------------------------------------------------------------------------------------ one file

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`."""
        return self.tree.lookup(_absolute(path)) is not None

    def stat(self, path: str, *, follow: bool = True) -> FileInfo:
        """What is at `path`.

        Args:
            path: which file.
            follow: of a symbolic link, what it points to.

        Raises:
            NotFound: there is nothing.
        """
        return _info(self.tree.need(_absolute(path), follow=follow))

    def read_bytes(self, path: str) -> bytes:
        """The content of a regular file.

        Raises:
            NotFound: there is nothing at `path`.
            StoreError: it is no regular file, or this user may not read it.
        """
        try:
            with self.tree.open(_absolute(path)) as file:
                return file.read()
        except PermissionError:
            hint = "export it: to_dir(...)"
            raise StoreError(f'"{path}": only the owner in the store may read it', hint=hint) from None

    def read_text(self, path: str, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The text of a regular file.

        Args:
            path: which.
            encoding: of the file.
            errors: what to do with bytes that are no text, as for `bytes.decode`.

        Raises:
            NotFound: there is nothing at `path`.
            StoreError: it is no regular file, or this user may not read it.
            UnicodeDecodeError: it is no text.
        """
        return self.read_bytes(path).decode(encoding, errors)

    # ---------------------------------------------------------------------------------------------- many files

    def ls(self, path: str = "/") -> Listing:
        """What a directory holds, by name; of anything else, that alone.

        Raises:
            NotFound: there is nothing at `path`.
        """
        where = self.tree.need(_absolute(path))
        entries = self.tree.children(where) if where.is_dir else [where]
        return Listing([_info(entry) for entry in entries])

    def walk(self, path: str = "/") -> Iterator[FileInfo]:
        """Everything below a directory, parents first, names sorted; links are not followed.

        Raises:
            NotFound: there is nothing at `path`.
        """
        where = self.tree.need(_absolute(path))
        for entry in self.tree.walk(where.path):
            if entry is not where and entry.path != where.path:
                yield _info(entry)

    def du(self, path: str = "/") -> DiskUse:
        """How many bytes the files in and below each entry of a directory have, largest first; hard links count once.

        Raises:
            NotFound: there is nothing at `path`.
        """
        where = self.tree.need(_absolute(path))
        seen: set[tuple[int, int]] = set()
        uses = [self._use(entry, seen) for entry in (self.tree.children(where) if where.is_dir else [where])]
        uses.sort(key=lambda use: (-use.size, use.path))
        return DiskUse(path=where.path, entries=tuple(uses))

    def _use(self, top: Entry, seen: set[tuple[int, int]]) -> Usage:
        size = files = 0
        for entry in self.tree.walk(top.path):
            status = entry.stat
            if not statmod.S_ISREG(status.st_mode):
                continue
            files += 1
            if status.st_nlink > 1:
                identity = (status.st_dev, status.st_ino)
                if identity in seen:
                    continue
                seen.add(identity)
            size += status.st_size
        return Usage(path=top.path, size=size, files=files)

    def diff(self, other: FileSystem) -> Changes:
        """What leads from these files to those of `other`: added, changed and removed, sorted by path.

        Times alone are no change. What the two share in the store is not looked at.

        Args:
            other: the files of another state or result.

        Example:
            >>> from pybuild import scratch
            >>> base = scratch().write("/a", "1")
            >>> base.fs.diff(base.write("/b", "2").fs)  # doctest: +SKIP
            <Changes 1 added>
        """
        from pybuild.results.changes import changes_between

        return changes_between(self.tree, other.tree)

    # ---------------------------------------------------------------------------------------------------- shown

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self.exists(path)

    def __repr__(self) -> str:
        names = [entry.name + ("/" if entry.is_dir else "") for entry in self.tree.children(self.tree.root)]
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        return f"<FileSystem {shown or 'empty'}>"

    def _repr_html_(self) -> str:
        return self.ls()._repr_html_()


def _absolute(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


def _info(entry: Entry) -> FileInfo:
    status = entry.stat
    kind = entry.kind
    return FileInfo(
        path=entry.path,
        kind=kind.value,
        size=status.st_size if kind is FileKind.FILE else 0,
        mode=statmod.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=datetime.fromtimestamp(status.st_mtime_ns / 1e9, tz=UTC),
        target=os.readlink(entry.real) if kind is FileKind.SYMLINK else "",
    )


__all__ = ["FileSystem"]
