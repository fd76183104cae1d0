"""Garbage collection: removes what nobody uses, while builds go on (mirrors BuildKit's cache/manager.go, prune).

Every deletion checks once more, in the write transaction in which it deletes, that nothing refers to the thing. A
build that wants to use something adds a reference first and then looks whether it is there (`lease.py`), so one of
the two sees the other. Transactions cover at most ten records, so that builds never wait long. Rows go before files:
a crash in between leaves files without rows, and those are cleaned away next time.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from pybuild.errors import NotFound
from pybuild.store.candidates import Planned, chosen, in_order, plan, total_size
from pybuild.store.disk import disk_of
from pybuild.store.gcpolicy import Limits, Rule, Space
from pybuild.store.leftovers import leftovers, rowless
from pybuild.store.recordfilter import parse_pairs
from pybuild.store.snapshotrows import Row
from pybuild.store.treecopy import remove_tree
from pybuild.store.usage import (
    Owners,
    UsageRecord,
    blobs_of_snapshots,
    cache_mount_id,
    digest_of_record,
    labelled_content,
    usage,
)

if TYPE_CHECKING:
    from pybuild.store.store import Store

_BATCH = 10
_FOREVER = float("inf")


@attrs.frozen(kw_only=True)
class PruneResult:
    """What was removed, how many bytes that freed, and how many are left in the store."""

    freed: int
    removed: tuple[UsageRecord, ...]
    left: int = 0


class GarbageCollector:
    """Disk usage of one store, and pruning.

    Args:
        store: an open store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted: tuple[int, Counter[str]] | None = None

    def usage(self) -> list[UsageRecord]:
        """Everything in the store, least recently used first."""
        return usage(self._store)

    def prune(
        self,
        *,
        all: bool = False,  # noqa: A002  # the word of the command line
        filters: Mapping[str, str] | None = None,
        keep_bytes: int | None = None,
        older_than: timedelta | None = None,
        report: Callable[[UsageRecord], None] | None = None,
    ) -> PruneResult:
        """Remove what is not in use: `collect` with one rule.

        Args:
            all: also snapshots that share their layer with another one, which frees little, and what is remembered of
                local directories and of builds; of those of the last week only with a filter for them.
            filters: only records that pass them (see `recordfilter.py`).
            keep_bytes: stop once the store is no larger than this; 0 is no limit.
            older_than: only what was not used for this long.
            report: told of each record as it goes.

        Raises:
            StoreError: a filter is not known.
        """
        rule = Rule(
            all=all,
            filters=(parse_pairs(filters),) if filters else (),
            keep_seconds=older_than.total_seconds() if older_than is not None else 0.0,
            limits=Limits(max_used=Space(keep_bytes or 0)),
        )
        return self.collect([rule], report=report)

    def collect(
        self, rules: Sequence[Rule], *, report: Callable[[UsageRecord], None] | None = None, until: float = _FOREVER
    ) -> PruneResult:
        """Apply rules one after the other, after what dead processes left.

        Args:
            rules: what may go.
            report: told of each record as it goes.
            until: stop then, as `time.monotonic` counts; what is left is for the next time.
        """
        self.clean()
        removed: list[tuple[UsageRecord, int]] = []
        records = usage(self._store)
        left, seen = total_size(records), 0
        for rule in rules:
            if len(removed) > seen:
                records, seen = usage(self._store), len(removed)
                left = total_size(records)
            for record, size in self._apply(rule, records, left, until):
                removed.append((record, size))
                if report is not None:
                    report(record)
        left -= sum(size for _, size in removed[seen:])
        freed = sum(size for _, size in removed)
        return PruneResult(freed=freed, removed=tuple(record for record, _ in removed), left=max(left, 0))

    def plan(self, rules: Sequence[Rule], records: Sequence[UsageRecord] | None = None) -> list[Planned]:
        """What `collect` would remove now.

        Args:
            rules: what may go.
            records: what `usage` said, when that is known.
        """
        known = self.usage() if records is None else records
        return plan(known, rules, blobs_of_snapshots(self._store), disk_of(self._store.root))

    def _apply(
        self, rule: Rule, records: Sequence[UsageRecord], used: int, until: float
    ) -> Iterator[tuple[UsageRecord, int]]:
        keep = rule.limits.keep_bytes(used, disk_of(self._store.root))
        self._wanted = None
        order = in_order(records, chosen(records, rule, time.time()), blobs_of_snapshots(self._store))
        freed = 0
        while (keep is None or used - freed > keep) and time.monotonic() < until:
            batch = _take(order, None if keep is None else used - freed - keep)
            if not batch:
                return
            for record, size in self._remove_batch(batch):
                freed += size
                yield record, size

    def clean(self) -> None:
        """Remove what dead processes left behind: leases, unfinished files and snapshots, lock files."""
        store = self._store
        store.leases.sweep()
        store.locks.sweep()
        owners = Owners(store)
        self._clean_unfinished(owners)
        self._clean_rowless()
        for leftover in leftovers(store, owners):
            with contextlib.suppress(PermissionError):  # of subordinate ids: left to a process that owns them
                remove_tree(leftover.path)

    # ------------------------------------------------------------------------------------------- leftovers

    def _clean_unfinished(self, owners: Owners) -> None:
        """Active snapshots and views of dead processes, and results whose snapshots are gone."""
        store = self._store
        connection = store.database.connection
        rows = connection.execute("SELECT key, owner FROM snapshots WHERE kind <> 'committed'").fetchall()
        dead = [str(key) for key, owner in rows if not owners.alive(str(owner))]
        for start in range(0, len(dead), _BATCH):
            numbers: list[int] = []
            with store.database.write() as transaction:
                for key in dead[start : start + _BATCH]:
                    row = self._row(key)
                    if row is not None and row.kind != "committed":
                        numbers += store.snapshots.delete_row(transaction, row)
            store.snapshots.discard(numbers)
        with store.database.write() as transaction:
            transaction.execute(
                "DELETE FROM results WHERE snapshot <> '' AND snapshot NOT IN (SELECT key FROM snapshots)"
            )
            transaction.execute("DELETE FROM links WHERE result_key NOT IN (SELECT result_key FROM results)")

    def _clean_rowless(self) -> None:
        """Directories of snapshots that have no row; new ones move in under the write lock, so none is half there."""
        store = self._store
        stray = rowless(store)
        for start in range(0, len(stray), _BATCH):
            with store.database.write() as transaction:
                used = (
                    "SELECT 1 FROM snapshots WHERE directory = :n OR flat = :n"
                    " UNION ALL SELECT 1 FROM revisions WHERE below = :n"
                )
                numbers = [
                    n for n in stray[start : start + _BATCH] if transaction.execute(used, {"n": n}).fetchone() is None
                ]
                trash = [path for number in numbers if (path := self._to_trash(store.root / "snapshots" / str(number)))]
            for path in trash:
                with contextlib.suppress(PermissionError):
                    remove_tree(path)

    def _to_trash(self, path: Path) -> Path | None:
        target = self._store.root / "tmp" / f"{self._store.leases.owner()}-{os.urandom(8).hex()}"
        try:
            path.rename(target)
        except FileNotFoundError:
            return None
        return target

    def _row(self, key: str) -> Row | None:
        try:
            return self._store.snapshots.row(key)
        except NotFound:
            return None

    # ------------------------------------------------------------------------------------------- removing

    def _remove_batch(self, batch: Sequence[UsageRecord]) -> Iterator[tuple[UsageRecord, int]]:
        """Remove at most ten records; yields those that went, with the bytes that this freed."""
        store = self._store
        numbers: list[int] = []
        gone: list[tuple[UsageRecord, int]] = []
        with store.database.write() as connection:
            for record in batch:
                if record.kind == "snapshot":
                    size = self._size(record)
                    found = self._delete_snapshot(connection, record)
                    if found is not None:
                        numbers += found
                        gone.append((record, size if found or record.mutable else 0))
            blobs = [record for record in batch if record.kind == "content"]
            wanted = self._wanted_blobs(connection) if blobs else Counter[str]()
            deleted = [r for r in blobs if wanted[r.id] <= 0 and self._delete_blob(connection, r)]
            gone += [(record, record.size) for record in deleted]
        store.snapshots.discard(numbers)
        yield from gone
        for record in batch:
            if record.kind == "cache-mount" and self._remove_cache_mount(record):
                yield record, record.size
            if record.kind == "git-mirror" and self._remove_git_mirror(record):
                yield record, record.size
            if record.kind == "record":  # whoever needs it makes it again
                (store.root / record.id).unlink(missing_ok=True)
                yield record, record.size

    def _wanted_blobs(self, connection: sqlite3.Connection) -> Counter[str]:
        """How many snapshots and images want each blob; read again only when another process has written meanwhile.

        What this process removes is taken off as it goes.
        """
        version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        if self._wanted is None or self._wanted[0] != version:
            self._wanted = version, labelled_content(self._store) + Counter(self._store.images.blobs())
        return self._wanted[1]

    def _size(self, record: UsageRecord) -> int:
        """Bytes of a snapshot, with those that it took over from predecessors since they were listed."""
        try:
            return max(record.size, self._store.snapshots.usage(record.id).size)
        except NotFound:
            return 0

    def _delete_snapshot(self, connection: sqlite3.Connection, record: UsageRecord) -> tuple[int, ...] | None:
        row = self._row(record.id)
        if row is None or row.kind != "committed" or _is_referred(connection, record.id):
            return None
        self._store.cache.forget_snapshot(connection, record.id)
        if self._wanted is not None:
            self._wanted[1].subtract(value for _, value in row.labels)
        return self._store.snapshots.delete_row(connection, row)

    def _delete_blob(self, connection: sqlite3.Connection, record: UsageRecord) -> bool:
        held = "SELECT 1 FROM lease_refs WHERE kind = 'content' AND key = ?"
        if connection.execute(held, (record.id,)).fetchone() is not None:
            return False
        digest = digest_of_record(record)
        try:
            if self._store.content.info(digest).created != record.created:
                return False  # written again since
            self._store.content.delete(digest)
        except NotFound:
            return False
        return True

    def _remove_cache_mount(self, record: UsageRecord) -> bool:
        mounts = self._store.cache_mounts
        for info in mounts.walk():
            if cache_mount_id(info.path.parent.name, info.instance) == record.id:
                return mounts.try_remove(info, self._remove_directory)
        return False

    def _remove_git_mirror(self, record: UsageRecord) -> bool:
        mirrors = self._store.git_mirrors
        found = next((info for info in mirrors.walk() if info.name == record.id), None)
        return found is not None and mirrors.try_remove(found, self._remove_directory)

    def _remove_directory(self, path: Path) -> None:
        trash = self._to_trash(path)
        if trash is not None:
            remove_tree(trash)


def prune(
    store: Store,
    *,
    all: bool = False,  # noqa: A002  # the word of the command line
    filters: Mapping[str, str] | None = None,
    keep_bytes: int | None = None,
    older_than: timedelta | None = None,
    report: Callable[[UsageRecord], None] | None = None,
) -> PruneResult:
    """Remove what is not in use from `store`; see `GarbageCollector.prune`."""
    return store.gc.prune(all=all, filters=filters, keep_bytes=keep_bytes, older_than=older_than, report=report)


def _is_referred(connection: sqlite3.Connection, key: str) -> bool:
    """Whether a child, or any lease (dead ones were swept), refers to a snapshot."""
    query = """
    SELECT 1 FROM snapshots WHERE parent = :key
    UNION ALL SELECT 1 FROM lease_refs WHERE kind = 'snapshot' AND key = :key
    UNION ALL SELECT 1 FROM lease_refs f JOIN results r ON r.result_key = f.key
        WHERE f.kind = 'result' AND r.snapshot = :key
    LIMIT 1
    """
    return connection.execute(query, {"key": key}).fetchone() is not None


def _take(order: Iterator[UsageRecord], wanted: int | None) -> list[UsageRecord]:
    """The next batch: no more records than allowed in one transaction, nor than it takes to free `wanted` bytes."""
    batch: list[UsageRecord] = []
    size = 0
    while len(batch) < _BATCH and (wanted is None or size < wanted):
        record = next(order, None)
        if record is None:
            break
        batch.append(record)
        size += record.size
    return batch


__all__ = ["GarbageCollector", "PruneResult", "UsageRecord", "prune", "usage"]
