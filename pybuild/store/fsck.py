"""Checks a store, and repairs it: what is damaged or half-written goes, what is committed and good stays.

Everything in a store can be made again, so repairing means removing: a step whose result is gone runs again, a blob
is pulled or made again. Runs beside builds: what it removes it looks at once more in the transaction that removes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pybuild.errors import StoreDamaged, StoreError
from pybuild.store.checkfiles import check_blobs, check_layout, check_leftovers, check_records
from pybuild.store.checkrows import check_images, check_layers, check_results, check_snapshots
from pybuild.store.finding import Finding
from pybuild.store.locks import is_locked

if TYPE_CHECKING:
    from pybuild.store.store import Store


def fsck(store: Store, *, repair: bool = False) -> list[Finding]:
    """Look at everything in a store; reads all blobs.

    Args:
        store: an open store.
        repair: put right what is wrong.

    Returns:
        What is wrong, or was.

    Raises:
        StoreError: the database is damaged, and other processes use it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from pybuild.store.store import Store
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     fsck(Store.open(Path(directory)))
        []
    """
    found = list(check_layout(store, repair=repair))
    if any(not finding.repaired for finding in found):
        return found  # the rest has no place to look
    found += check_database(store, repair=repair)
    found += check_blobs(store, repair=repair)
    found += check_records(store, repair=repair)
    if any(finding.kind == "database" and not finding.repaired for finding in found):
        return found
    for check in (check_snapshots, check_results, check_leftovers, check_layers, check_images):
        found += check(store, repair=repair)
    return found


def check_database(store: Store, *, repair: bool) -> Iterator[Finding]:
    """Whether the database can be read.

    Args:
        store: a store.
        repair: start a new one where it cannot.

    Raises:
        StoreError: it is damaged, and other processes use it.
    """
    problem = _damage(store)
    if not problem:
        return
    if repair:
        if any(is_locked(path) for path in (store.root / "leases").iterdir()):
            raise StoreError(
                "the store's database is damaged, and other processes use it", hint="end those builds, then try again"
            )
        store.start_over()
    yield Finding(kind="database", id="store.db", problem=problem, repaired=repair)


def _damage(store: Store) -> str:
    try:
        # Not quick_check, which takes good columns of tables without row ids for empty ones.
        return _first_other_than_ok(store.database.connection.execute("PRAGMA integrity_check(1)"))
    except StoreDamaged as error:
        return f"it cannot be read: {error.__cause__}"


def _first_other_than_ok(answers: Iterable[tuple[str]]) -> str:
    return next((str(answer) for (answer,) in answers if answer != "ok"), "")


__all__ = ["Finding", "check_database", "fsck"]
