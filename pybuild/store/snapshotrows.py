"""Rows of snapshots as values, and the questions that the database answers about them (see `snapshots.py`)."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import NamedTuple

import attrs

from pybuild.protocols import SnapshotInfo, SnapshotKind

ALL = "SELECT key, parent, kind, directory, flat, depth, created, labels FROM snapshots"
ONE = ALL + " WHERE key = ?"
PARENTS = """
WITH RECURSIVE chain (key, parent, number) AS (
    SELECT key, parent, 0 FROM snapshots WHERE key = ?
    UNION ALL
    SELECT s.key, s.parent, number + 1 FROM chain JOIN snapshots s ON s.key = chain.parent
)
SELECT key FROM chain ORDER BY number DESC"""
_STEP = """s.directory, coalesce(r.below, 0), s.flat,
    CASE s.flat WHEN 0 THEN s.parent ELSE coalesce(f.below, '') END, coalesce(f.level, 0)"""
_BESIDE = "LEFT JOIN flat_trees f ON f.directory = s.flat LEFT JOIN revisions r ON r.directory = s.directory"
LAYERS = f"""
WITH RECURSIVE chain (directory, revised, flat, below, level, number) AS (
    SELECT {_STEP}, 0 FROM snapshots s {_BESIDE} WHERE s.key = ?
    UNION ALL
    SELECT {_STEP}, number + 1 FROM chain JOIN snapshots s ON s.key = chain.below {_BESIDE}
)
SELECT directory, revised, flat, below, level FROM chain WHERE directory OR flat ORDER BY number"""  # noqa: S608  # of constants


class Layer(NamedTuple):
    """One of the directories that a mount of a snapshot is made of.

    Args:
        tree: the directory.
        below: the snapshot whose layers come under it (and under what it is a revision of); "" for none.
        level: 0 for what one snapshot changed; one more than the highest in it for a merged tree.
    """

    tree: Path
    below: str
    level: int


@attrs.frozen(kw_only=True)
class Flat:
    """The merged tree of the topmost layers of a snapshot, staged: see `Layer`. `depth` counts `lowers` with it."""

    staged: Path
    below: str
    level: int
    depth: int


@attrs.frozen(kw_only=True)
class Row:
    """A snapshot as stored. `directory` and `flat` are numbers of directories, 0 for none; `depth` counts `lowers`."""

    key: str
    parent: str
    kind: SnapshotKind
    directory: int
    flat: int
    depth: int
    created: float
    labels: tuple[tuple[str, str], ...]


EMPTY = Row(key="", parent="", kind=SnapshotKind.COMMITTED, directory=0, flat=0, depth=0, created=0.0, labels=())


def next_number(connection: sqlite3.Connection) -> int:
    """A directory number that was not used before."""
    last = connection.execute("SELECT last FROM snapshot_directories WHERE id = 1").fetchone()
    number = int(last[0]) + 1 if last is not None else 1
    connection.execute("INSERT OR REPLACE INTO snapshot_directories VALUES (1, ?)", (number,))
    return number


def row_of(found: tuple[object, ...]) -> Row:
    """The row as `ALL` and `ONE` give it."""
    key, parent, kind, directory, flat, depth, created, labels = found
    return Row(
        key=str(key),
        parent=str(parent),
        kind=SnapshotKind(str(kind)),
        directory=int(str(directory)),
        flat=int(str(flat)),
        depth=int(str(depth)),
        created=float(str(created)),
        labels=tuple(sorted((str(name), str(value)) for name, value in json.loads(str(labels)).items())),
    )


def info_of(row: Row) -> SnapshotInfo:
    """What others are told of a row."""
    return SnapshotInfo(key=row.key, parent=row.parent, kind=row.kind, created=row.created, labels=row.labels)
