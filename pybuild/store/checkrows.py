"""Checks of the store's database against what is on disk: snapshots, results, layers and images (see `fsck.py`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.digest import Digest
from pybuild.errors import NotFound
from pybuild.store.finding import Finding
from pybuild.store.metadata import SCHEMA
from pybuild.store.revisions import predecessors
from pybuild.store.seal import seal_of

if TYPE_CHECKING:
    from pathlib import Path

    from pybuild.store.store import Store

_BATCH: Final = 100
_NO_SNAPSHOT = (
    "SELECT result_key, snapshot FROM results WHERE snapshot <> '' AND snapshot NOT IN"
    " (SELECT key FROM snapshots WHERE kind = 'committed')"
)
_NO_RESULT = "SELECT DISTINCT result_key FROM links WHERE result_key NOT IN (SELECT result_key FROM results)"


@attrs.frozen
class _Row:
    key: str
    parent: str
    directory: int
    flat: int
    created: float


def check_snapshots(store: Store, *, repair: bool, since: float = 0.0) -> Iterator[Finding]:
    """Committed snapshots whose files are not all there, or not what they were; what is built on such goes with them.

    Args:
        store: an open store.
        repair: remove them; the steps that made them run again.
        since: look into trees that were committed at this time or later, in seconds since the epoch.
    """
    store.database.ensure(SCHEMA)  # of an older version there are no seals
    query = "SELECT key, parent, directory, flat, created FROM snapshots WHERE kind = 'committed'"
    rows = {str(row[0]): _Row(*row) for row in store.database.connection.execute(query)}
    seals = {int(n): bytes(seal) for n, seal in store.database.connection.execute("SELECT * FROM seals")}
    seen: dict[int, str] = {}
    bad: dict[str, str] = {}
    for row in rows.values():
        problem = "" if not row.parent or row.parent in rows else f'its parent "{row.parent}" is not there'
        for number in (row.directory, row.flat, *predecessors(store.database.connection, row.directory)):
            if number and number not in seen:
                seal = seals.get(number) if row.created >= since else None
                seen[number] = _problem_of(store.root / "snapshots" / str(number) / "fs", seal)
            problem = problem or (seen[number] if number else "")
        if problem:
            bad[row.key] = problem
    bad = _with_children(bad, rows)
    gone = _remove_snapshots(store, bad) if repair else set[str]()
    for key, problem in bad.items():
        yield Finding(kind="snapshot", id=key, problem=problem, repaired=key in gone)


def _problem_of(tree: Path, seal: bytes | None) -> str:
    if not tree.is_dir():
        return f'its directory "{tree}" is not there'
    try:
        changed = seal is not None and seal_of(tree).seal != seal
    except (PermissionError, FileNotFoundError):
        return ""  # another user's files, or removed just now: nobody can tell
    return f'files in "{tree}" are missing, or were written after they were committed' if changed else ""


def _with_children(bad: dict[str, str], rows: dict[str, _Row]) -> dict[str, str]:
    children: dict[str, list[str]] = {}
    for row in rows.values():
        children.setdefault(row.parent, []).append(row.key)
    found = dict(bad)
    pending = list(bad)
    while pending:
        key = pending.pop()
        for child in children.get(key, ()):
            if child not in found:
                found[child] = f'it stands on "{key}", which is damaged'
                pending.append(child)
    return found


def _remove_snapshots(store: Store, keys: Iterable[str]) -> set[str]:
    gone: set[str] = set()
    pending = list(keys)
    for start in range(0, len(pending), _BATCH):
        numbers: list[int] = []
        with store.database.write() as connection:
            for key in pending[start : start + _BATCH]:
                gone.add(key)
                try:
                    row = store.snapshots.row(key)
                except NotFound:
                    continue
                store.cache.forget_snapshot(connection, key)
                numbers += store.snapshots.delete_row(connection, row)
        store.snapshots.discard(numbers)
    return gone


def check_results(store: Store, *, repair: bool) -> Iterator[Finding]:
    """Cache records that lead nowhere."""
    connection = store.database.connection
    lost = [(str(key), f'its snapshot "{name}" is not there') for key, name in connection.execute(_NO_SNAPSHOT)]
    lost += [(str(key), "links lead to it, but it is not there") for (key,) in connection.execute(_NO_RESULT)]
    if repair and lost:
        with store.database.write() as transaction:
            for key, _ in transaction.execute(_NO_SNAPSHOT).fetchall():
                transaction.execute("DELETE FROM results WHERE result_key = ?", (key,))
            for (key,) in transaction.execute(_NO_RESULT).fetchall():
                transaction.execute("DELETE FROM links WHERE result_key = ?", (key,))
    for key, problem in lost:
        yield Finding(kind="result", id=key, problem=problem, repaired=repair)


def check_layers(store: Store, *, repair: bool) -> Iterator[Finding]:
    """What snapshots remember of blobs that are gone: the next export makes, or pulls, such a layer again."""
    query = "SELECT key, labels FROM snapshots WHERE kind = 'committed' AND labels <> '{}'"
    for key, text in store.database.connection.execute(query).fetchall():
        labels: dict[str, str] = json.loads(text)
        lost = [name for name, value in labels.items() if _is_layer(name) and not _has(store, value)]
        if lost and repair:
            kept = {name: value for name, value in labels.items() if not any(_is_of(name, form) for form in lost)}
            with store.database.write() as connection:
                connection.execute(
                    "UPDATE snapshots SET labels = ? WHERE key = ? AND labels = ?",
                    (json.dumps(kept, sort_keys=True), key, text),
                )
        for name in lost:
            yield Finding(kind="layer", id=str(key), problem=f"its blob {labels[name]} is not there", repaired=repair)


def _is_layer(label: str) -> bool:
    return label.startswith("layer.") and not label.endswith((".type", ".diff"))


def _is_of(name: str, form: str) -> bool:
    return name in (form, f"{form}.type", f"{form}.diff")


def _has(store: Store, digest: str) -> bool:
    return store.content.path(Digest(digest)).is_file()


def check_images(store: Store, *, repair: bool) -> Iterator[Finding]:
    """Named images that are not complete; their names are forgotten, what is left of them goes with the next prune."""
    blobs = store.images.blobs_by_name()
    for name, digests in blobs.items():
        lost = sorted(digest for digest in digests if not _has(store, digest))
        if lost:
            repaired = repair and store.images.remove(name)
            yield Finding(kind="image", id=name, problem=f"its blob {lost[0]} is not there", repaired=repaired)
