"""Brings a context into a new snapshot: whole, or as a revision of the last one, which holds what changed alone."""

from __future__ import annotations

import hashlib
import os
import stat as statmod
from collections.abc import Iterable
from typing import Protocol

from pybuild.errors import AlreadyExists, NotFound, SourceFetchError
from pybuild.source.contextindex import FileHashes, Folder
from pybuild.source.contextlisting import NAME, Difference, difference, read_listing, write_listing
from pybuild.source.contexttree import ContextEntry, ContextTree
from pybuild.store.attributes import Attributes
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree
from pybuild.store.treewriter import TreeWriter

_CHUNK = 1 << 20


def bring_in(store: Store, name: str, tree: ContextTree, hashes: FileHashes, previous: str) -> None:
    """Make the snapshot of a context, unless somebody else is faster.

    Args:
        store: where.
        name: of the snapshot.
        tree: the context.
        hashes: of its regular files; what is read must have these.
        previous: an older snapshot of a context, held by the caller, which shares what did not change; "" for none.

    Raises:
        SourceFetchError: something cannot be read, or has changed since `tree` was made.
        StoreFull: no room.
    """
    snapshots = store.snapshots
    known = _known(store, previous)
    changes = difference(known, tree, hashes) if known is not None else None
    entries = len(changes.removed) + len(changes.written) + len(changes.touched) if changes is not None else 0
    revises = previous if changes is not None and snapshots.may_revise(previous, "", entries) else ""
    key = f"local-{os.urandom(8).hex()}"
    snapshots.prepare(key, revises=revises, changes=entries)
    try:
        if revises and changes is not None:
            writer = TreeWriter(snapshots.lowers(previous), snapshots.upper(key), whiteouts=store.whiteouts)
            _Copy(tree, hashes, writer).apply(changes)
        else:
            writer = TreeWriter((), snapshots.upper(key), whiteouts="native")
            copy = _Copy(tree, hashes, writer)
            if changes is not None:
                copy.share(LayeredTree(snapshots.lowers(previous)), changes)
            copy.everything()
        write_listing(snapshots.beside(key, NAME), hashes)
        snapshots.commit(name, key)
    except AlreadyExists:
        snapshots.remove(key)
    except BaseException:
        snapshots.abandon(key)
        raise


def _known(store: Store, previous: str) -> dict[str, Folder] | None:
    if not previous:
        return None
    try:
        return read_listing(store.snapshots.beside(previous, NAME))
    except NotFound:
        return None


class _Copy:
    """A context on its way into a new snapshot.

    Args:
        tree: what to copy.
        hashes: of its files.
        writer: where to.
    """

    def __init__(self, tree: ContextTree, hashes: FileHashes, writer: TreeWriter) -> None:
        self._tree = tree
        self._hashes = hashes
        self._writer = writer
        self._older: LayeredTree | None = None
        self._changed: set[str] = set()

    def share(self, older: LayeredTree, changes: Difference) -> None:
        """Take files that did not change from an older snapshot."""
        self._older, self._changed = older, set(changes.written)

    def everything(self) -> None:
        """Write all of it into an empty snapshot."""
        self._write(self._tree.entries)
        self._set_times(entry for entry in self._tree.entries[::-1] if entry.dirs)

    def apply(self, changes: Difference) -> None:
        """Write what changed over an older snapshot."""
        for path in changes.removed:
            self._writer.remove(path)
        self._write(map(self._entry, changes.written))
        directories = {*changes.touched, *changes.written}
        self._set_times(entry for entry in map(self._entry, sorted(directories, reverse=True)) if entry.dirs)

    def _entry(self, path: str) -> ContextEntry:
        folder, _, name = path.rpartition("/")
        return ContextEntry(path, self._tree.root.real.rstrip("/") + path, self._tree.folders[folder][name])

    def _set_times(self, directories: Iterable[ContextEntry]) -> None:
        """Last of all, children before parents: what is put into a directory changes its time."""
        for entry in directories:
            self._writer.set_mtime(entry.path, entry.status.st_mtime_ns)

    def _write(self, entries: Iterable[ContextEntry]) -> None:
        links: dict[tuple[int, int], str] = {}
        for entry in entries:
            status = entry.status
            attributes = Attributes(statmod.S_IMODE(status.st_mode), 0, 0, status.st_mtime_ns)
            kind = statmod.S_IFMT(status.st_mode)
            if kind == statmod.S_IFDIR:
                self._directory(entry, attributes)
            elif kind == statmod.S_IFREG:
                first = entry.path
                if status.st_nlink > 1:
                    first = links.setdefault((status.st_dev, status.st_ino), entry.path)
                if first != entry.path:
                    self._writer.link(entry.path, first)
                else:
                    self._file(entry, attributes)
            elif kind == statmod.S_IFLNK:
                self._writer.symlink(entry.path, os.readlink(entry.real), attributes)
            else:
                self._writer.mknod(entry.path, kind, status.st_rdev, attributes)

    def _directory(self, entry: ContextEntry, attributes: Attributes) -> None:
        if not self._writer.parent_is_fresh(entry.path) and self._writer.view.lookup(entry.path, follow=False):
            self._writer.set_attributes(entry.path, attributes)
        else:
            self._writer.mkdir(entry.path, attributes)

    def _file(self, entry: ContextEntry, attributes: Attributes) -> None:
        if self._older is not None and entry.path not in self._changed:
            older = self._older.lookup(entry.path, follow=False)
            if older is not None:
                self._writer.copy_file(entry.path, older, attributes)
                return
        try:
            with open(entry.real, "rb", buffering=0) as file:
                if entry.status.st_size <= _CHUNK:
                    data = file.read(_CHUNK + 1)
                    self._check(entry, hashlib.sha256(data))
                    self._writer.write_file(entry.path, data, attributes)
                    return
                reader = _Hashing(file)
                self._writer.write_file(entry.path, reader, attributes)  # type: ignore[arg-type]  # it has read()
                self._check(entry, reader.hash)
        except PermissionError as error:
            raise SourceFetchError(f'cannot read "{entry.real}": {error.strerror}') from error
        except FileNotFoundError:
            raise _changed(entry) from None

    def _check(self, entry: ContextEntry, found: hashlib._Hash) -> None:
        if found.digest() != self._hashes[entry.path]:
            raise _changed(entry)


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes."""
        ...


class _Hashing:
    """A file that hashes what is read from it."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.hash = hashlib.sha256()

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        self.hash.update(data)
        return data


def _changed(entry: ContextEntry) -> SourceFetchError:
    return SourceFetchError(
        f'"{entry.real}" changed while it was being read', hint="build again when nothing writes into the context"
    )
