"""Bookkeeping of snapshots: rows in sqlite, directories under snapshots/<number> (as containerd's snapshots/storage).

`overlay.py` and `native.py` add what a snapshot's directory holds. A snapshot exists exactly when its row does: a new
directory is made under tmp/ and moved into place in the transaction that writes the row; removal deletes the row
first. So a process may die anywhere, and what is left are directories without rows, which `gc.py` removes. Files are
not synced, as with BuildKit; but the seal of each tree is kept, by which `recovery.py` finds the newest snapshots
damaged after a power failure, before anybody uses them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pybuild.errors import AlreadyExists, NotFound, StoreError, StoreFull
from pybuild.protocols import MountSpec, SnapshotInfo, SnapshotKind, Usage
from pybuild.store.database import Database
from pybuild.store.metadata import SCHEMA
from pybuild.store.revisions import Revision, keep_revision, predecessors, release, released_usage
from pybuild.store.seal import Sealed, seal_of
from pybuild.store.snapshotrows import (
    ALL,
    EMPTY,
    LAYERS,
    ONE,
    PARENTS,
    Flat,
    Layer,
    Row,
    info_of,
    next_number,
    row_of,
)
from pybuild.store.space import reporting_full
from pybuild.store.treecopy import disk_usage, remove_tree

_numbers = itertools.count(1)


class SnapshotTable(ABC):
    """What both snapshotters share.

    Args:
        root: the store's directory, with snapshots/ and tmp/ in it.
        database: the store's database.
        owner: gives the id under which this process makes unfinished things (see `lease.py`).
    """

    name: str

    def __init__(self, root: Path, database: Database, owner: Callable[[], str]) -> None:
        self._root = root
        self._directory = root / "snapshots"
        self._database = database
        self._owner = owner
        database.ensure(SCHEMA)

    # ---------------------------------------------------------------------------------------------- reading

    def stat(self, key: str) -> SnapshotInfo:
        """See protocols.Snapshotter."""
        return info_of(self.row(key))

    def row(self, key: str) -> Row:
        """The stored row; "" is the empty tree. Raises NotFound."""
        if not key:
            return EMPTY
        found = self._database.connection.execute(ONE, (key,)).fetchone()
        if found is None:
            raise NotFound(f'snapshot "{key}" not found')
        return row_of(found)

    def parents(self, key: str) -> tuple[str, ...]:
        """The keys of the chain that ends with `key`, bottom first. Raises NotFound."""
        self.row(key)
        return tuple(str(row[0]) for row in self._database.connection.execute(PARENTS, (key,)))

    def walk(self) -> Iterator[SnapshotInfo]:
        """See protocols.Snapshotter."""
        found = self._database.connection.execute(ALL).fetchall()
        rows = [row_of(row) for row in found]
        children: dict[str, list[Row]] = {}
        for row in rows:
            children.setdefault(row.parent, []).append(row)
        pending = sorted(children.get("", ()), key=lambda row: row.created, reverse=True)
        while pending:
            row = pending.pop()
            yield info_of(row)
            pending += children.get(row.key, ())

    def usage(self, key: str) -> Usage:
        """See protocols.Snapshotter; measured once for a committed snapshot. A view has none."""
        row = self.row(key)
        if not row.directory:
            return Usage(size=0, inodes=0)
        own = self._own_usage(row)
        more, count = released_usage(self._database.connection, row.directory)
        return Usage(size=own.size + more, inodes=own.inodes + count)

    def _own_usage(self, row: Row) -> Usage:
        """What the directories that belong to a row's snapshot alone take."""
        key = row.key
        query = "SELECT size, inodes FROM snapshots WHERE key = ?"
        known = self._database.connection.execute(query, (key,)).fetchone()
        if known is not None and int(known[0]) >= 0:
            return Usage(size=int(known[0]), inodes=int(known[1]))
        try:
            size, inodes = disk_usage(self._tree(row.directory))
            if row.flat:  # its files are links to those of the layers
                more, count = disk_usage(self._tree(row.flat), directories_only=True)
                size, inodes = size + more, inodes + count
        except FileNotFoundError as err:  # removed since its row was read
            raise NotFound(f'snapshot "{key}" not found') from err
        if row.kind is SnapshotKind.COMMITTED:
            with self._database.write() as connection:
                connection.execute("UPDATE snapshots SET size = ?, inodes = ? WHERE key = ?", (size, inodes, key))
        return Usage(size=size, inodes=inodes)

    def upper(self, key: str) -> Path:
        """See protocols.Snapshotter. Raises NotFound, StoreError for a view of another snapshot."""
        row = self.row(key)
        if not row.directory:
            raise StoreError(f'snapshot "{key}" has no directory of its own')
        return self._tree(row.directory)

    def own(self, key: str) -> tuple[Path, ...]:
        """See protocols.Snapshotter. Raises as `upper`."""
        directory = self.row(key).directory
        below = predecessors(self._database.connection, directory)
        return (self.upper(key), *map(self._tree, below))

    def beside(self, key: str, name: str) -> Path:
        """A file of the store's own that lives as long as the snapshot: written before it is committed, read after.

        Raises:
            NotFound: there is no such snapshot.
            StoreError: it has no directory of its own.
        """
        return self.upper(key).parent / name

    @abstractmethod
    def lowers(self, key: str) -> tuple[Path, ...]:
        """See protocols.Snapshotter; () for ""."""

    @abstractmethod
    def mounts(self, key: str) -> tuple[MountSpec, ...]:
        """See protocols.Snapshotter."""

    # ---------------------------------------------------------------------------------------------- writing

    def may_revise(self, key: str, parent: str, changes: int) -> bool:
        """Whether to `prepare` a snapshot as a revision of a committed one that has the same parent.

        Args:
            key: the predecessor.
            parent: what the new snapshot stands on.
            changes: how many entries will differ.

        Raises:
            NotFound: there is no such snapshot.
        """
        return self._revision(self._committed(key), self._committed(parent), changes) is not None

    def prepare(
        self,
        key: str,
        parent: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        revises: str = "",
        changes: int = 0,
    ) -> tuple[MountSpec, ...]:
        """See protocols.Snapshotter.

        Args:
            key: of the new snapshot.
            parent: what it stands on.
            labels: of it.
            revises: begin with the layer of this snapshot, to be changed: see `may_revise`, and `revisions.py`.
            changes: how many entries will differ from that.

        Raises:
            AlreadyExists: the key is taken.
            NotFound: `parent` or `revises` does not exist.
            StoreError: `revises` cannot be revised.
        """
        base = self._committed(parent)
        revision = self._revision(self._committed(revises), base, changes) if revises else None
        if revises and revision is None:
            raise StoreError(f'snapshot "{revises}" cannot be revised')
        with self._staging() as staging:
            self._populate(staging, base, revises)
            depth = self._depth(base) + (revision.length if revision is not None else 1)
            self._insert(
                key,
                base,
                SnapshotKind.ACTIVE,
                staging=staging,
                depth=depth,
                labels=labels or {},
                revises=revises,
                revision=revision,
            )
        return self.mounts(key)

    def view(self, key: str, parent: str) -> tuple[MountSpec, ...]:
        """See protocols.Snapshotter."""
        base = self._committed(parent)
        if parent:
            self._insert(key, base, SnapshotKind.VIEW, depth=self._depth(base))
            return self.mounts(key)
        with self._staging() as staging:
            (staging / "fs").mkdir(mode=0o755)
            self._insert(key, base, SnapshotKind.VIEW, staging=staging, depth=1)
        return self.mounts(key)

    def commit(self, name: str, key: str, *, labels: Mapping[str, str] | None = None) -> None:
        """See protocols.Snapshotter. `labels` are added to those given to `prepare`."""
        row = self.row(key)
        if row.kind is not SnapshotKind.ACTIVE:
            raise StoreError(f'snapshot "{key}" is {row.kind.value}, only an active one can be committed')
        if self._exists(name):
            raise AlreadyExists(f'snapshot "{name}" already exists')
        with self._flattened(row) as flat:
            self._seal(self._directory / str(row.directory))
            sealed = _sealed(self._tree(row.directory))
            with self._database.write() as connection:
                number = self._add_flat(connection, flat) if flat is not None else 0
                text = json.dumps({**dict(row.labels), **(labels or {})}, sort_keys=True)
                try:
                    changed = connection.execute(
                        "UPDATE snapshots SET key = ?, kind = ?, flat = ?, depth = ?, labels = ?, created = ?"
                        " WHERE key = ? AND kind = ?",
                        (
                            name,
                            "committed",
                            number,
                            flat.depth if flat is not None else row.depth,
                            text,
                            time.time(),
                            key,
                            "active",
                        ),
                    ).rowcount
                except sqlite3.IntegrityError:
                    raise AlreadyExists(f'snapshot "{name}" already exists') from None
                if not changed:
                    raise NotFound(f'snapshot "{key}" not found')
                _keep_seal(connection, row.directory, sealed)
                if flat is not None:
                    self._move(flat.staged, number)

    def set_labels(self, key: str, labels: Mapping[str, str]) -> None:
        """Add or replace labels of a snapshot. A value that is a blob's digest keeps the blob as long as the snapshot.

        Raises:
            NotFound: there is no such snapshot.
        """
        with self._database.write() as connection:
            text = json.dumps({**dict(self.row(key).labels), **labels}, sort_keys=True)
            connection.execute("UPDATE snapshots SET labels = ? WHERE key = ?", (text, key))

    def remove(self, key: str) -> None:
        """See protocols.Snapshotter."""
        with self._database.write() as connection:
            row = self.row(key)
            if connection.execute("SELECT 1 FROM snapshots WHERE parent = ? LIMIT 1", (key,)).fetchone():
                raise StoreError(f'snapshot "{key}" has children', hint="remove those first")
            numbers = self.delete_row(connection, row)
        self.discard(numbers)

    def abandon(self, key: str) -> None:
        """Remove an active snapshot of which nothing will come, whatever happens: the caller has an error to report.

        On a full disk the files go first, which makes room for the rest. What cannot be removed now is garbage from
        the moment that this process ends.
        """
        with contextlib.suppress(StoreError):
            try:
                self.remove(key)
            except StoreFull:
                for child in list(self.upper(key).iterdir()):
                    remove_tree(child)
                self.remove(key)

    def delete_row(self, connection: sqlite3.Connection, row: Row) -> tuple[int, ...]:
        """Delete a row within the caller's transaction; returns the directories that nothing refers to any more."""
        measured = "SELECT max(size, 0), max(inodes, 0) FROM snapshots WHERE key = ?"
        size, inodes = connection.execute(measured, (row.key,)).fetchone() or (0, 0)
        connection.execute("DELETE FROM snapshots WHERE key = ?", (row.key,))
        found = release(connection, row.directory, int(size), int(inodes))
        used = "SELECT 1 FROM snapshots WHERE flat = ? LIMIT 1"
        if row.flat and connection.execute(used, (row.flat,)).fetchone() is None:
            found.append(row.flat)
        unused = tuple(found)
        connection.executemany("DELETE FROM flat_trees WHERE directory = ?", [(number,) for number in unused])
        connection.executemany("DELETE FROM seals WHERE directory = ?", [(number,) for number in unused])
        return unused

    def discard(self, numbers: Iterable[int]) -> None:
        """Delete directories that have no row, after the transaction in which they lost it."""
        for number in numbers:
            trash = self._temporary()
            try:
                (self._directory / str(number)).rename(trash)
            except FileNotFoundError:
                continue  # a collector was faster
            with contextlib.suppress(PermissionError):  # of subordinate ids: left to a process that owns them
                remove_tree(trash)

    @abstractmethod
    def restack(self, name: str, parent: str, layer: str) -> None:
        """A new committed snapshot `name`: the own changes of committed `layer`, on another `parent`.

        Raises:
            AlreadyExists: `name` is taken.
            NotFound: `parent` or `layer` does not exist.
        """

    # ------------------------------------------------------------------------------------ for the two kinds

    @abstractmethod
    def _populate(self, staging: Path, base: Row, revises: str = "") -> None:
        """Fill the directory of a new active snapshot."""

    def _revision(self, predecessor: Row, base: Row, changes: int) -> Revision | None:
        """A revision of a snapshot; None where there shall be none."""
        return None

    @abstractmethod
    def _seal(self, directory: Path) -> None:
        """Drop what only an active snapshot needs."""

    def _depth(self, base: Row) -> int:
        """The number of `lowers` that a child of `base` inherits."""
        return base.depth

    @contextmanager
    def _flattened(self, row: Row) -> Generator[Flat | None, None, None]:
        """What takes the place of the topmost layers of a snapshot that has too many of them."""
        yield None

    def _tree(self, number: int) -> Path:
        return self._directory / str(number) / "fs"

    def _layers(self, key: str) -> list[Layer]:
        """What the snapshot's tree is made of, topmost first."""
        if not key:
            return []
        found = self._database.connection.execute(LAYERS, (key,)).fetchall()
        if not found:
            raise NotFound(f'snapshot "{key}" not found')
        layers: list[Layer] = []
        for directory, revised, flat, below, level in found:
            numbers = [int(flat) or int(directory)]
            if revised and not flat:
                numbers += predecessors(self._database.connection, int(directory))
            layers += [Layer(self._tree(number), str(below), int(level)) for number in numbers]
        return layers

    def _committed(self, key: str) -> Row:
        row = self.row(key)
        if row.kind is not SnapshotKind.COMMITTED:
            raise StoreError(f'snapshot "{key}" is {row.kind.value}, only a committed one can be a parent')
        return row

    def _exists(self, key: str) -> bool:
        return self._database.connection.execute("SELECT 1 FROM snapshots WHERE key = ?", (key,)).fetchone() is not None

    def _insert(
        self,
        key: str,
        base: Row,
        kind: SnapshotKind,
        *,
        depth: int,
        staging: Path | None = None,
        shared: int = 0,
        flat: Flat | None = None,
        labels: Mapping[str, str] | None = None,
        revises: str = "",
        revision: Revision | None = None,
    ) -> None:
        """Write a row, and move its staged directories into place in the same transaction."""
        owner = self._owner()
        sealed = _sealed(staging / "fs") if staging is not None and kind is SnapshotKind.COMMITTED else None
        with self._database.write() as connection:
            for needed in filter(None, (base.key, revises)):
                self.row(needed)
            number = next_number(connection) if staging is not None else shared
            flat_number = self._add_flat(connection, flat) if flat is not None else 0
            values = (key, base.key, kind.value, number, flat_number, depth, owner, time.time())
            try:
                connection.execute(
                    "INSERT INTO snapshots (key, parent, kind, directory, flat, depth, owner, created, labels)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, json.dumps(dict(labels or {}), sort_keys=True)),
                )
            except sqlite3.IntegrityError:
                raise AlreadyExists(f'snapshot "{key}" already exists') from None
            _keep_seal(connection, number, sealed)
            if revision is not None:
                keep_revision(connection, number, revision)
            if staging is not None:
                self._move(staging, number)
            if flat is not None:
                self._move(flat.staged, flat_number)

    @staticmethod
    def _add_flat(connection: sqlite3.Connection, flat: Flat) -> int:
        number = next_number(connection)
        connection.execute("INSERT INTO flat_trees VALUES (?, ?, ?)", (number, flat.below, flat.level))
        return number

    def _move(self, staged: Path, number: int) -> None:
        """Move a staged directory into place, as the last act of a transaction."""
        place = self._directory / str(number)
        # A process that died between moving and writing the row gave the number back, but not the directory. Nobody
        # else can be there: whoever moves holds the write lock.
        if place.exists():
            place.rename(self._temporary())
        staged.rename(place)

    @contextmanager
    def _staging(self) -> Generator[Path, None, None]:
        """A new directory under tmp/; removed afterwards unless it was moved into place."""
        path = self._temporary()
        with reporting_full(self._root):
            path.mkdir(mode=0o711)
            try:
                yield path
            finally:
                if path.exists():
                    remove_tree(path)

    def _temporary(self) -> Path:
        return self._root / "tmp" / f"{self._owner()}-{next(_numbers)}"


def _sealed(tree: Path) -> Sealed | None:
    """The seal of a finished tree; None where this process may not read all of it."""
    try:
        return seal_of(tree)
    except PermissionError:
        return None


def _keep_seal(connection: sqlite3.Connection, number: int, sealed: Sealed | None) -> None:
    if sealed is not None:
        connection.execute("INSERT OR REPLACE INTO seals VALUES (?, ?)", (number, sealed.seal))
        measured = "UPDATE snapshots SET size = ?, inodes = ? WHERE directory = ? AND flat = 0"
        connection.execute(measured, (sealed.size, sealed.inodes, number))
