"""Stored results, and the links that lead to them: what makes the next build fast (docs/cache-keys.md).

A result names a committed snapshot; it counts as long as that snapshot exists. Links are looked up by primary key.
Mirrors BuildKit's solver/bboltcachestorage. Also remembers how long each op took, for estimates.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence

from pybuild.protocols import CacheLink, CacheRecord, Ref
from pybuild.store.database import Database
from pybuild.store.metadata import SCHEMA

_RECORDS = """
SELECT r.result_key, r.snapshot, r.description, r.created, r.last_used, r.usage_count, r.duration FROM results r
WHERE (r.snapshot = '' OR EXISTS (SELECT 1 FROM snapshots s WHERE s.key = r.snapshot AND s.kind = 'committed'))
"""
_RECORD = _RECORDS + " AND r.result_key = ?"
_BY_AGE = _RECORDS + " ORDER BY r.last_used, r.result_key"
_QUERY = (
    "SELECT result_key FROM links WHERE input_key = ? AND op_digest = ? AND input_index = ? AND output = ?"
    " AND selector = ?"
)
_LINKS = (
    "SELECT input_key, input_index, op_digest, output, selector FROM links WHERE result_key = ?"
    " ORDER BY input_index, input_key, selector"
)
_SAVE = """
INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (result_key) DO UPDATE SET snapshot = excluded.snapshot, description = excluded.description,
    created = excluded.created, last_used = excluded.last_used, duration = excluded.duration
"""
_LINK = """
INSERT OR IGNORE INTO links SELECT ?1, ?2, ?3, ?4, ?5, ?6
WHERE EXISTS (SELECT 1 FROM results WHERE result_key = ?6)
"""


class SqliteCacheStore:
    """See protocols.CacheStore.

    Args:
        database: the store's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.ensure(SCHEMA)

    def query(self, link: CacheLink) -> Sequence[str]:
        """See protocols.CacheStore."""
        return [str(row[0]) for row in self._database.connection.execute(_QUERY, _key(link))]

    def load(self, result_key: str) -> CacheRecord | None:
        """See protocols.CacheStore. None as well when the result's snapshot is gone."""
        row = self._database.connection.execute(_RECORD, (result_key,)).fetchone()
        return None if row is None else _record(row)

    def save(self, record: CacheRecord, links: Sequence[CacheLink]) -> None:
        """See protocols.CacheStore. A result stored under the same key is replaced."""
        values = (
            record.result_key,
            record.ref.snapshot,
            record.description,
            record.created,
            record.last_used,
            record.usage_count,
            record.duration,
        )
        with self._database.write() as connection:
            connection.execute(_SAVE, values)
            self.add_links(record.result_key, links)
            for op_digest in {link.op_digest for link in links} if record.duration else ():
                connection.execute("INSERT OR REPLACE INTO durations VALUES (?, ?)", (op_digest, record.duration))

    def add_links(self, result_key: str, links: Sequence[CacheLink]) -> None:
        """See protocols.CacheStore. Links to a result that was removed meanwhile are not kept."""
        if not links:
            return
        rows = [
            (link.input_key, link.input_index, link.op_digest, link.output, link.selector, result_key) for link in links
        ]
        with self._database.write() as connection:
            connection.executemany(_LINK, rows)

    def links(self, result_key: str) -> Sequence[CacheLink]:
        """All links that lead to a result, in a fixed order."""
        rows = self._database.connection.execute(_LINKS, (result_key,)).fetchall()
        return [
            CacheLink(input_key=row[0], input_index=row[1], op_digest=row[2], output=row[3], selector=row[4])
            for row in rows
        ]

    def touch(self, result_keys: Iterable[str]) -> None:
        """Note that results were used just now, all in one transaction."""
        now = time.time()
        rows = [(now, key) for key in result_keys]
        if rows:
            with self._database.write() as connection:
                connection.executemany(
                    "UPDATE results SET last_used = ?, usage_count = usage_count + 1 WHERE result_key = ?", rows
                )

    def forget(self, result_key: str) -> None:
        """Remove a result with the links to it; its snapshot stays. Unknown keys are fine."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM links WHERE result_key = ?", (result_key,))
            connection.execute("DELETE FROM results WHERE result_key = ?", (result_key,))

    def forget_snapshot(self, connection: sqlite3.Connection, snapshot: str) -> None:
        """Remove the results that name a snapshot, and the links to them, within the caller's transaction."""
        links = "DELETE FROM links WHERE result_key IN (SELECT result_key FROM results WHERE snapshot = ?)"
        connection.execute(links, (snapshot,))
        connection.execute("DELETE FROM results WHERE snapshot = ?", (snapshot,))

    def records(self) -> Iterator[CacheRecord]:
        """All results whose snapshots are there, least recently used first."""
        found = self._database.connection.execute(_BY_AGE).fetchall()
        yield from map(_record, found)

    def estimate(self, op_digest: str) -> float:
        """How many seconds an equal op took the last time, on any input; 0 when unknown."""
        query = "SELECT seconds FROM durations WHERE op_digest = ?"
        row = self._database.connection.execute(query, (op_digest,)).fetchone()
        return 0.0 if row is None else float(row[0])


def _key(link: CacheLink) -> tuple[str, str, int, int, str]:
    return link.input_key, link.op_digest, link.input_index, link.output, link.selector


def _record(row: tuple[str, str, str, float, float, int, float]) -> CacheRecord:
    result_key, snapshot, description, created, last_used, usage_count, duration = row
    return CacheRecord(
        result_key=result_key,
        ref=Ref(snapshot=snapshot),
        description=description,
        created=created,
        last_used=last_used,
        usage_count=usage_count,
        duration=duration,
    )
