"""After a power failure, or in a copy of a store: what was on its way to the disk may not have got there.

A store remembers in its file `place` during which run of the machine it was used, and the inode of its directory.
When either is another, the first process that opens it looks at what may be damaged, before anybody uses it: after a
restart at what was committed last, since the kernel writes everything out within seconds; in a copy at everything,
because it may have been made while builds were running. What is not good goes, as with `fsck`, and is made again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pybuild.store.space import reporting_full

if TYPE_CHECKING:
    from pybuild.store.finding import Finding
    from pybuild.store.store import Store

#: How long the kernel lets written data wait, in seconds: 30 by default, and as much again to be sure.
_UNWRITTEN_SECONDS: Final = 60.0
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_FILE: Final = "place"


def place_of(root: Path) -> str:
    """Where and when this store is used: the machine's run, and the directory's inode."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return f"{boot} {root.stat().st_ino}"


def is_elsewhere(root: Path) -> bool:
    """Whether the store was last used by another run of the machine, or in another directory. Cheap."""
    return _last(root) != place_of(root)


def note_place(root: Path) -> None:
    """Remember that the store is all right here and now."""
    fresh = root / f"{_FILE}.new"
    fresh.write_text(place_of(root) + "\n", encoding="ascii")
    fresh.replace(root / _FILE)


def recover(store: Store) -> list[Finding]:
    """Remove what is damaged, unless another process has done so; returns what that was.

    Args:
        store: a store that `is_elsewhere`.

    Raises:
        StoreError: its database is damaged, and other processes use it.
        StoreFull: no room to work.
    """
    from pybuild.store.checkfiles import check_layout, check_records
    from pybuild.store.checkrows import check_results, check_snapshots
    from pybuild.store.fsck import check_database

    found = list(check_layout(store, repair=True))
    with reporting_full(store.root), store.locks.exclusive("recover"):
        if not is_elsewhere(store.root):
            return found
        last = _last(store.root)
        copied = last.partition(" ")[2] != place_of(store.root).partition(" ")[2]
        found += check_database(store, repair=True)
        newest = store.database.connection.execute("SELECT max(created) FROM snapshots").fetchone()[0] or 0.0
        since = 0.0 if copied else float(newest) - _UNWRITTEN_SECONDS
        found += check_snapshots(store, repair=True, since=since)
        found += check_results(store, repair=True)
        found += check_records(store, repair=True)
        note_place(store.root)
    return found


def _last(root: Path) -> str:
    try:
        return (root / _FILE).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
