"""The store's sqlite database: one file, write-ahead log, one connection per thread, many processes at once.

Modules own their tables: each calls `ensure` with its `CREATE TABLE IF NOT EXISTS` script. Writes are short
transactions that take the write lock at once, so that concurrent processes wait for each other and never deadlock.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BUSY_SECONDS = 60.0


class Database:
    """Connections to one database file.

    Args:
        path: the file; its directory must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._ensured: set[str] = set()

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection; reading through it needs no transaction."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, cached_statements=256)
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=NORMAL")
            found.execute("PRAGMA foreign_keys=ON")
            self._local.connection = found
        return found

    def ensure(self, schema: str) -> None:
        """Create tables that are missing; `schema` holds idempotent statements and runs once per process."""
        if schema not in self._ensured:
            self.connection.executescript(schema)
            self._ensured.add(schema)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its first statement; rolled back when the block raises."""
        connection = self.connection
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close this thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            found.close()
            self._local.connection = None
