"""The store's sqlite database: one file, write-ahead log, one connection per thread, many processes at once.

Modules own their tables: each calls `ensure` with its `CREATE TABLE IF NOT EXISTS` script. Writes are short
transactions that take the write lock at once, so that concurrent processes wait for each other and never deadlock.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pybuild.errors import StoreDamaged, StoreFull

_BUSY_SECONDS = 60.0
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


class Connection(sqlite3.Connection):
    """A connection that says what a damaged database means. Raises StoreDamaged."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """See sqlite3.Connection."""
        try:
            return super().execute(sql, parameters)
        except sqlite3.DatabaseError as error:
            _report_damage(error)
            raise


def _report_damage(error: sqlite3.DatabaseError) -> None:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        raise StoreDamaged(
            f"the store's database is damaged: {error}",
            hint='"pybuild fsck --repair" starts a new one; pulled blobs and cache mounts stay, steps run again',
        ) from error


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
        """This thread's connection; reading through it needs no transaction. Raises StoreFull."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            with _reporting_full(self.path):
                found = self._connect()
            self._local.connection = found
        return found

    def _connect(self) -> sqlite3.Connection:
        made = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, cached_statements=256, factory=Connection
        )
        try:
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("PRAGMA synchronous=NORMAL")
            made.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            made.close()
            raise
        return made

    def ensure(self, schema: str) -> None:
        """Create tables that are missing; `schema` holds idempotent statements, and runs once per process.

        Raises:
            StoreFull: no room for them.
        """
        if schema not in self._ensured:
            with _reporting_full(self.path):
                for statement in schema.split(";"):  # executescript would commit the caller's transaction
                    self.connection.execute(statement)
            self._ensured.add(schema)

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """A transaction that holds the write lock from its first statement; rolled back when the block raises.

        Raises:
            StoreFull: no room for it.
        """
        connection = self.connection
        if connection.in_transaction:
            yield connection
            return
        with _reporting_full(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise

    def close(self) -> None:
        """Close this thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            found.close()
            self._local.connection = None

    def remove(self) -> None:
        """Delete the database; what comes next starts with a new one. No other thread or process may use it."""
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._ensured.clear()


@contextmanager
def _reporting_full(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in _FULL:
            raise
        raise StoreFull(
            f'no space left on the file system of "{path.parent}": the disk is full',
            hint='free some with "pybuild prune", or use another --root',
        ) from error


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # sqlite has done it already after some errors
        connection.execute("ROLLBACK")
