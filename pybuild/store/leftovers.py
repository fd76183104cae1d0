"""What processes that were killed left in the store's directories, and nobody will ever finish.

Only names are looked at here, and who lives; `gc.py` removes what is found, `fsck.py` tells of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from pybuild.store.locks import LockHandle
    from pybuild.store.store import Store
    from pybuild.store.usage import Owners

#: Files without an owner's name that are written and renamed at once; older ones, in seconds, nobody will rename.
_STAGED_SECONDS: Final = 10.0
_STAGED: Final = re.compile(r"\.[0-9a-f]{8}")


@attrs.frozen(kw_only=True)
class Leftover:
    """A file or directory that can go. `description` says what it was to become."""

    path: Path
    description: str


def leftovers(store: Store, owners: Owners) -> Iterator[Leftover]:
    """All that is left of dead processes but leases, locks and snapshots.

    Args:
        store: an open store.
        owners: which of its processes live.
    """
    for folder, description in (("ingest", "unfinished blob"), ("tmp", "temporary files")):
        for path in _listed(store.root / folder):
            if not owners.alive(path.name.partition("-")[0]):
                yield Leftover(path=path, description=description)
    for path in _listed(store.root / "snapshots"):
        if not path.name.isdigit():
            yield Leftover(path=path, description="nothing of a snapshot's")
    for path in (*store.root.glob("*.new"), *store.root.glob("cache-mounts/*/*.new")):
        yield from _staged(path)
    for folder in ("builds", "contexts"):
        for path in _listed(store.root / folder):
            if _STAGED.fullmatch(path.suffix):
                yield from _staged(path)
    yield from _cache_mounts(store)
    yield from _git_mirrors(store)


def rowless(store: Store) -> list[int]:
    """The numbers of directories of snapshots that had no row when this looked; look again before removing one."""
    there = [int(path.name) for path in _listed(store.root / "snapshots") if path.name.isdigit()]
    query = "SELECT directory FROM snapshots UNION SELECT flat FROM snapshots UNION SELECT below FROM revisions"
    known = {int(row[0]) for row in store.database.connection.execute(query)}
    return sorted(number for number in there if number not in known)


def _staged(path: Path) -> Iterator[Leftover]:
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return  # renamed meanwhile
    if age > _STAGED_SECONDS:
        yield Leftover(path=path, description="unfinished file")


def _cache_mounts(store: Store) -> Iterator[Leftover]:
    for instance in store.root.glob("cache-mounts/*/*"):
        if not instance.name.isdigit() or (instance / "tree").is_dir():
            continue
        name, number = instance.parent.name, instance.name
        if _is_idle(store, f"cache-mount-new:{name}:{number}", f"cache-mount:{name}:{number}"):
            yield Leftover(path=instance, description="unfinished cache mount")


def _git_mirrors(store: Store) -> Iterator[Leftover]:
    for mirror in _listed(store.root / "git"):
        half = not ((mirror / "repository").is_dir() and (mirror / "info.json").is_file())
        found = [mirror] if half else list(mirror.glob("new-*"))
        if found and _is_idle(store, f"git:{mirror.name}"):
            for path in found:
                yield Leftover(path=path, description="unfinished git mirror")


def _is_idle(store: Store, *locks: str) -> bool:
    held: list[LockHandle | None] = [store.locks.try_exclusive(name) for name in locks]
    for handle in held:
        if handle is not None:
            handle.release()
    return None not in held


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []
