"""Revisions: a layer kept as what differs from an earlier one, so that it costs what changed and not what is there.

A snapshot's directory may be a *revision* of another snapshot's, its *predecessor*: it lies over that one as one
overlayfs layer over another, but both together are one layer. A context of which one file changed, and the copy of
it, are revisions of those of the last build. What parents a snapshot has says nothing of this: the predecessor's
directory stays as long as anything needs it, whether or not there is still a snapshot that is called after it.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

#: So many directories may make one layer: each is another place to look into for overlayfs and for us.
_MAX_LENGTH: Final = 24
#: All that later revisions change may be so much of the first directory. Beyond that a copy is as good.
_MAX_PART: Final = 0.5

_CHAIN = """
WITH RECURSIVE chain (directory, number) AS (
    SELECT below, 1 FROM revisions WHERE directory = ?
    UNION ALL
    SELECT r.below, number + 1 FROM chain JOIN revisions r ON r.directory = chain.directory
)
SELECT directory FROM chain ORDER BY number"""
_RELEASED = """
WITH RECURSIVE chain (directory) AS (
    SELECT below FROM revisions WHERE directory = ?
    UNION ALL
    SELECT r.below FROM chain JOIN revisions r ON r.directory = chain.directory
)
SELECT coalesce(sum(p.size), 0), coalesce(sum(p.inodes), 0) FROM chain JOIN predecessors p USING (directory)"""


class Revision(NamedTuple):
    """What lies under a directory.

    Args:
        below: the predecessor's directory.
        length: how many directories make the layer.
        changes: how many entries all of them but the lowest hold, about.
        whole: how many the lowest holds.
    """

    below: int
    length: int
    changes: int
    whole: int


def revision_of(connection: sqlite3.Connection, directory: int) -> Revision | None:
    """What lies under a directory; None when it is a layer by itself."""
    query = "SELECT below, length, changes, whole FROM revisions WHERE directory = ?"
    found = connection.execute(query, (directory,)).fetchone()
    return Revision(*map(int, found)) if found is not None else None


def next_revision(connection: sqlite3.Connection, directory: int, inodes: int, changes: int) -> Revision | None:
    """A revision of a directory; None when a copy is the better choice.

    Args:
        connection: the store's database.
        directory: the predecessor.
        inodes: how many it has.
        changes: how many entries the revision will hold, about.
    """
    last = revision_of(connection, directory) or Revision(below=0, length=1, changes=0, whole=inodes)
    made = Revision(directory, last.length + 1, last.changes + changes, last.whole)
    return made if made.length <= _MAX_LENGTH and made.changes <= made.whole * _MAX_PART else None


def predecessors(connection: sqlite3.Connection, directory: int) -> list[int]:
    """The directories that make one layer with `directory`, from the one right under it downwards."""
    return [int(row[0]) for row in connection.execute(_CHAIN, (directory,))]


def released_usage(connection: sqlite3.Connection, directory: int) -> tuple[int, int]:
    """Bytes and inodes of those predecessors that no snapshot is called after any more."""
    size, inodes = connection.execute(_RELEASED, (directory,)).fetchone()
    return int(size), int(inodes)


def keep_revision(connection: sqlite3.Connection, directory: int, revision: Revision) -> None:
    """Note what lies under a new directory."""
    connection.execute("INSERT INTO revisions VALUES (?, ?, ?, ?, ?)", (directory, *revision))


def release(connection: sqlite3.Connection, directory: int, size: int, inodes: int) -> list[int]:
    """A snapshot has just lost its row: which directories does nothing need any more?

    Args:
        connection: within a transaction.
        directory: the snapshot's.
        size: bytes in it, for the account of whoever still needs it.
        inodes: likewise.
    """
    unused: list[int] = []
    at = directory
    while at and not _has_row(connection, at):
        if connection.execute("SELECT 1 FROM revisions WHERE below = ? LIMIT 1", (at,)).fetchone() is not None:
            if at == directory:
                connection.execute("INSERT OR REPLACE INTO predecessors VALUES (?, ?, ?)", (at, size, inodes))
            break
        revision = revision_of(connection, at)
        connection.execute("DELETE FROM revisions WHERE directory = ?", (at,))
        connection.execute("DELETE FROM predecessors WHERE directory = ?", (at,))
        unused.append(at)
        at = revision.below if revision is not None else 0
    return unused


def _has_row(connection: sqlite3.Connection, directory: int) -> bool:
    query = "SELECT 1 FROM snapshots WHERE directory = ? LIMIT 1"
    return connection.execute(query, (directory,)).fetchone() is not None
