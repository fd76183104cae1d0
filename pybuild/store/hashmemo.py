"""Remembers content digests, so that unchanged trees and files are hashed once and never again.

Two tables: the digest of a selection of a committed snapshot, which never changes; and the hash of a file's bytes by
its inode, which holds for as long as size and times stay the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from pybuild.digest import Digest, digest_of
from pybuild.store.contenthash import WHOLE, Selection, content_digest, hash_contents
from pybuild.store.database import Database
from pybuild.store.tree import Entry, LayeredTree

_SCHEMA = """
CREATE TABLE IF NOT EXISTS content_digest (
    snapshot TEXT NOT NULL, selection TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (snapshot, selection)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file_hash (
    device INTEGER NOT NULL, inode INTEGER NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (device, inode)
) WITHOUT ROWID;
"""
_FIND = "SELECT hash FROM file_hash WHERE device=? AND inode=? AND size=? AND mtime_ns=? AND ctime_ns=?"
_KEEP = "INSERT OR REPLACE INTO file_hash VALUES (?, ?, ?, ?, ?, ?)"
_SETTLED_NS: Final = 100_000_000
"""A few times the tick of file times: what was changed longer ago than this shows the next change in its ctime."""
_MAX_INTEGER: Final = (1 << 63) - 1

_Key = tuple[int, int, int, int, int]


class ContentHasher:
    """Content digests with a memory.

    Args:
        database: the store's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.ensure(_SCHEMA)

    def digest(self, snapshot_key: str, tree: LayeredTree, path: str, selection: Selection = WHOLE) -> Digest:
        """As `content_digest`, remembered for a committed snapshot.

        Args:
            snapshot_key: the snapshot that `tree` shows; "" for a tree that may still change.
            tree: where to look.
            path: absolute inside the tree.
            selection: what counts.

        Raises:
            NotFound: see `content_digest`.
        """
        if not snapshot_key:
            return content_digest(tree, path, selection, hash_files=self._hash_changing)
        key = digest_of(path, *attrs.astuple(selection))
        row = self._database.connection.execute(
            "SELECT digest FROM content_digest WHERE snapshot=? AND selection=?", (snapshot_key, key)
        ).fetchone()
        if row is not None:
            return Digest(row[0])
        found = content_digest(tree, path, selection, hash_files=self._hash_immutable)
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO content_digest VALUES (?, ?, ?)", (snapshot_key, key, found))
        return found

    def remember(self, snapshot_key: str, path: str, selection: Selection, digest: Digest) -> None:
        """Store a digest that was computed by other means, for a snapshot known to hold the same."""
        with self._database.write() as connection:
            key = digest_of(path, *attrs.astuple(selection))
            connection.execute("INSERT OR REPLACE INTO content_digest VALUES (?, ?, ?)", (snapshot_key, key, digest))

    def forget(self, snapshot_keys: Iterable[str]) -> None:
        """Drop what is known of snapshots that are being removed."""
        with self._database.write() as connection:
            connection.executemany("DELETE FROM content_digest WHERE snapshot=?", [(key,) for key in snapshot_keys])

    def _hash_immutable(self, files: Sequence[Entry]) -> Sequence[bytes]:
        return self._hash_files(files, settled_before=None)

    def _hash_changing(self, files: Sequence[Entry]) -> Sequence[bytes]:
        # A file changed a moment ago may change again without its times moving, so it is not remembered yet.
        return self._hash_files(files, settled_before=time.time_ns() - _SETTLED_NS)

    def _hash_files(self, files: Sequence[Entry], *, settled_before: int | None) -> Sequence[bytes]:
        keys = [_key(entry) for entry in files]
        find = self._database.connection.execute
        known: list[bytes | None] = [
            row[0] if key is not None and (row := find(_FIND, key).fetchone()) is not None else None for key in keys
        ]
        missing = [position for position, found in enumerate(known) if found is None]
        hashed = hash_contents([files[position] for position in missing])
        rows: list[tuple[int, int, int, int, int, bytes]] = []
        for position, digest in zip(missing, hashed, strict=True):
            known[position] = digest
            key = keys[position]
            if key is not None and (settled_before is None or key[4] < settled_before):
                rows.append((*key, digest))
        if rows:
            with self._database.write() as connection:
                connection.executemany(_KEEP, rows)
        return [found for found in known if found is not None]


def _key(entry: Entry) -> _Key | None:
    status = entry.stat
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return key if max(key) <= _MAX_INTEGER else None
