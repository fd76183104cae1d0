"""Leases: who uses what, so that garbage collection leaves it alone (mirrors containerd's leases).

A lease is a row with references, and a file leases/<id> that its process keeps locked: it lives as long as the
process does, kill -9 included, and as long as its time to live has not passed. The references of a dead lease count
for nothing; `gc.py` removes them. To hold something that may just be going away: `add` it, then look whether it is
still there. Deletion checks references in the same transaction in which it deletes, so the answer stays true.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from pybuild.errors import LeaseExpired, StoreFull
from pybuild.protocols import CacheRecord, CacheStore
from pybuild.store.database import Database
from pybuild.store.locks import is_locked, lock_new_file
from pybuild.store.metadata import SCHEMA

RefKind: TypeAlias = Literal["content", "snapshot", "result"]


class StoreLease:
    """A lease of this store; made by `LeaseManager.lease`."""

    def __init__(self, lease_id: str, database: Database, cache: CacheStore) -> None:
        self.id = lease_id
        self._database = database
        self._cache = cache

    def add(self, kind: RefKind, key: str) -> None:
        """Hold one thing, which need not exist yet.

        Raises:
            LeaseExpired: the lease has ended.
        """
        with self._database.write() as connection:
            if connection.execute("SELECT 1 FROM leases WHERE id = ?", (self.id,)).fetchone() is None:
                raise LeaseExpired(f"lease {self.id} has ended")
            connection.execute("INSERT OR IGNORE INTO lease_refs VALUES (?, ?, ?)", (self.id, kind, key))

    def hold_result(self, result_key: str) -> CacheRecord | None:
        """Check that a stored result is still there and hold it with its snapshot, in one step.

        A snapshot's parents need no references of their own: what has children is never collected.

        Returns:
            The record, or None when it is gone.
        """
        with self._database.write():
            record = self._cache.load(result_key)
            if record is not None:
                self.add("result", result_key)
                if record.ref.snapshot:
                    self.add("snapshot", record.ref.snapshot)
        return record


class LeaseManager:
    """Hands out leases, and tells the dead from the living.

    Args:
        directory: holds the lease files; must exist.
        database: the store's database.
        cache: where `hold_result` looks results up.
    """

    def __init__(self, directory: Path, database: Database, cache: CacheStore) -> None:
        self._directory = directory
        self._database = database
        self._cache = cache
        self._owner: tuple[str, int] | None = None
        self._end: Callable[[], object] = bool
        self._mutex = threading.Lock()
        database.ensure(SCHEMA)

    @contextmanager
    def lease(self, *, ttl: timedelta | None = None) -> Generator[StoreLease, None, None]:
        """A lease for the block; `ttl` bounds how long it outlives a crash (None: not at all)."""
        lease_id, descriptor = self._lock_file()
        now = time.time()
        expires = now + ttl.total_seconds() if ttl is not None else now
        try:
            with self._database.write() as connection:
                connection.execute("INSERT INTO leases VALUES (?, ?, ?)", (lease_id, now, expires))
            yield StoreLease(lease_id, self._database, self._cache)
        finally:
            try:
                with contextlib.suppress(StoreFull):  # a dead lease is swept by the next collection
                    self._forget(lease_id)
            finally:
                os.close(descriptor)

    def owner(self) -> str:
        """The id under which this process makes unfinished things: temporary files, active snapshots.

        Alive (`is_alive`) until the process ends or `close` is called; what it owned then is garbage.
        """
        with self._mutex:
            if self._owner is None:
                self._owner = self._lock_file()
                # Whoever forgets to close: the file goes when this manager does, or the process ends.
                self._end = weakref.finalize(self, _give_up, self._directory / self._owner[0], os.getpid())
            return self._owner[0]

    @property
    def current_owner(self) -> str:
        """What `owner` has returned, "" when it was not called yet."""
        return self._owner[0] if self._owner is not None else ""

    def is_alive(self, lease_id: str) -> bool:
        """Whether the lease or owner is held by a living process, or has time left."""
        if is_locked(self._directory / lease_id):
            return True
        row = self._database.connection.execute("SELECT expires FROM leases WHERE id = ?", (lease_id,)).fetchone()
        return row is not None and float(row[0]) > time.time()

    def sweep(self) -> None:
        """Remove dead leases with their references, and the files of dead owners."""
        for lease_id in self.dead():
            self._forget(lease_id)

    def dead(self) -> list[str]:
        """The ids of leases and owners that are neither held nor have time left."""
        rows = self._database.connection.execute("SELECT id FROM leases").fetchall()
        ids = {str(row[0]) for row in rows} | {path.name for path in self._directory.iterdir()}
        return [lease_id for lease_id in sorted(ids) if not self.is_alive(lease_id)]

    def close(self) -> None:
        """Give up ownership of everything unfinished."""
        with self._mutex:
            if self._owner is not None:
                self._end()
                os.close(self._owner[1])
                self._owner = None

    def _lock_file(self) -> tuple[str, int]:
        while True:
            lease_id = os.urandom(8).hex()
            path = self._directory / lease_id
            try:
                return lease_id, lock_new_file(path, path.with_name(f"{lease_id}.new"))
            except FileNotFoundError:
                if not self._directory.is_dir():
                    raise
                # a sweep in another process came between creating and locking: try another name

    def _forget(self, lease_id: str) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM leases WHERE id = ?", (lease_id,))
        (self._directory / lease_id).unlink(missing_ok=True)


def _give_up(path: Path, process: int) -> None:
    """Remove an owner's file; a process that was forked from the owner leaves it alone."""
    if os.getpid() == process:
        with contextlib.suppress(OSError):
            path.unlink()
