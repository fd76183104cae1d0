"""What goes and in which order, when a store is collected: pure functions over its records."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from pybuild.store.disk import Disk
from pybuild.store.gcpolicy import Rule
from pybuild.store.recordfilter import passes
from pybuild.store.usage import UsageRecord

_EXPLAINED_SECONDS: Final = 7 * 24 * 3600.0


def total_size(records: Iterable[UsageRecord]) -> int:
    """Bytes of all records; those of a directory that several snapshots share count once."""
    seen: set[int] = set()
    total = 0
    for record in records:
        if record.directory and record.directory in seen:
            continue
        seen.add(record.directory)
        total += record.size
    return total


def chosen(records: Iterable[UsageRecord], rule: Rule, now: float) -> list[UsageRecord]:
    """The records that a rule may remove."""
    deadline = now - rule.keep_seconds
    return [
        record
        for record in records
        if not record.in_use
        and (not rule.keep_seconds or record.last_used <= deadline)
        and (not rule.filters or any(passes(record, terms) for terms in rule.filters))
        and (rule.all or not (record.kind == "record" or (record.kind == "snapshot" and record.shared)))
        and not (record.kind == "record" and not rule.filters and _explains(record, now))
    ]


def in_order(
    records: Sequence[UsageRecord], candidates: Sequence[UsageRecord], blobs: Mapping[str, Collection[str]]
) -> Iterator[UsageRecord]:
    """Candidates in the order in which to remove them: the least valuable first.

    By the sum of two ranks, how long ago and how seldom they were used; but a snapshot only after its children, and
    a blob after the snapshots that it belongs to; not at all when one of those stays.

    Args:
        records: everything in the store.
        candidates: those of them that may go.
        blobs: the blobs that belong to each snapshot.
    """
    waits: Counter[str] = Counter()  # how many things have to go first
    frees: dict[str, list[str]] = {}  # what waits for a snapshot
    for record in records:
        if record.kind == "snapshot":
            for behind in (record.parent, *blobs.get(record.id, ())):
                if behind:
                    waits[behind] += 1
                    frees.setdefault(record.id, []).append(behind)
    recency = {used: rank for rank, used in enumerate(sorted({record.last_used for record in candidates}))}
    frequency = {count: rank for rank, count in enumerate(sorted({record.usage_count for record in candidates}))}
    scale = len(recency) / max(len(frequency), 1)

    def entry(number: int) -> tuple[float, str, int]:
        record = candidates[number]
        return recency[record.last_used] + scale * frequency[record.usage_count], record.id, number

    waiting = {record.id: number for number, record in enumerate(candidates) if record.kind in ("snapshot", "content")}
    ready = [
        entry(number) for number, record in enumerate(candidates) if record.id not in waiting or not waits[record.id]
    ]
    heapq.heapify(ready)
    while ready:
        record = candidates[heapq.heappop(ready)[2]]
        yield record
        for behind in frees.get(record.id, ()) if record.kind == "snapshot" else ():
            waits[behind] -= 1
            if not waits[behind] and behind in waiting:
                heapq.heappush(ready, entry(waiting[behind]))


@attrs.frozen(kw_only=True)
class Planned:
    """A record that a rule would remove now; `rule` counts from 0."""

    record: UsageRecord
    rule: int
    freed: int


def plan(
    records: Sequence[UsageRecord],
    rules: Sequence[Rule],
    blobs: Mapping[str, Collection[str]],
    disk: Disk,
    now: float | None = None,
) -> list[Planned]:
    """What rules would remove, without removing anything.

    Args:
        records: everything in the store.
        rules: one after the other.
        blobs: the blobs that belong to each snapshot.
        disk: the file system of the store.
        now: seconds since the epoch.
    """
    moment = time.time() if now is None else now
    left = list(records)
    owners = Counter(record.directory for record in records if record.directory)
    found: list[Planned] = []
    for number, rule in enumerate(rules):
        used = total_size(left)
        keep = rule.limits.keep_bytes(used, disk)
        gone: set[tuple[str, str]] = set()
        freed = 0
        for record in in_order(left, chosen(left, rule, moment), blobs):
            if keep is not None and used - freed <= keep:
                break
            owners[record.directory] -= 1
            size = 0 if record.directory and owners[record.directory] else record.size
            found.append(Planned(record=record, rule=number, freed=size))
            freed += size
            gone.add((record.kind, record.id))
        disk = Disk(disk.total, disk.free + freed)
        left = [record for record in left if (record.kind, record.id) not in gone]
    return found


def _explains(record: UsageRecord, now: float) -> bool:
    """Whether it tells of a build of late: it is small, and says after a prune why everything runs again."""
    return record.id.startswith("builds/") and now - record.last_used < _EXPLAINED_SECONDS
