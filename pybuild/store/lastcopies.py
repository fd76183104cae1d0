"""Remembers which snapshot a copy was made of the last time, and which one it made: the next one may be a revision."""

from __future__ import annotations

from typing import NamedTuple

from pybuild.store.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS last_copies (
    operation TEXT PRIMARY KEY, source TEXT NOT NULL, result TEXT NOT NULL
) WITHOUT ROWID;
"""


class LastCopy(NamedTuple):
    """Keys of snapshots that were there when this was noted: hold them, then look."""

    source: str
    result: str


def last_copy(database: Database, operation: str) -> LastCopy | None:
    """What came of an operation the last time.

    Args:
        database: the store's.
        operation: a digest of all that the result depends on, but for the source.
    """
    database.ensure(_SCHEMA)
    query = "SELECT source, result FROM last_copies WHERE operation = ?"
    found = database.connection.execute(query, (operation,)).fetchone()
    return LastCopy(str(found[0]), str(found[1])) if found is not None else None


def remember_copy(database: Database, operation: str, source: str, result: str) -> None:
    """Note what came of an operation; what was noted of results that are gone is forgotten."""
    database.ensure(_SCHEMA)
    with database.write() as connection:
        connection.execute("DELETE FROM last_copies WHERE result NOT IN (SELECT key FROM snapshots)")
        connection.execute("INSERT OR REPLACE INTO last_copies VALUES (?, ?, ?)", (operation, source, result))
