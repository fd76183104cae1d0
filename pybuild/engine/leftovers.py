"""What killed workers left behind: looked for by every build, and nearly never there.

A worker's waiter cleans up after it; only when both were killed is it left to the next build, cached or not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pybuild.store.finding import Finding

#: Where the workers of a store have their state directories.
WORKERS = "workers"


def sweep_workers(root: Path) -> None:
    """Remove what workers of the store at `root` left that have ended; cheap when there is nothing."""
    base = root / WORKERS
    try:
        if not os.listdir(base):
            return
    except OSError:
        return
    from pybuild.runtime.workerdir import sweep

    sweep(base)


def sweep_killed(root: Path) -> None:
    """Remove what killed workers left, and the temporary directories of killed clients."""
    from pybuild.temporary import sweep

    sweep_workers(root)
    sweep()


def check_temporary(*, repair: bool) -> list[Finding]:
    """Temporary directories of clients that were killed.

    Args:
        repair: remove them.
    """
    from pybuild.store.finding import Finding
    from pybuild.temporary import abandoned, sweep

    found = sweep() if repair else abandoned()
    problem = "its process was killed"
    return [
        Finding(kind="temporary", id=str(path), problem=problem, repaired=repair and not path.exists())
        for path in found
    ]


def check_workers(root: Path, *, repair: bool) -> list[Finding]:
    """What is left of workers that have ended: state directories and control groups.

    Args:
        root: the store's directory.
        repair: remove it.
    """
    from pybuild.runtime.workerdir import stale, sweep
    from pybuild.store.finding import Finding

    base = root / WORKERS
    found = stale(base)
    if repair and found:
        sweep(base)
    left = stale(base) if repair and found else found
    problem = "it was killed, and something of it is left"
    return [Finding(kind="worker", id=name, problem=problem, repaired=name not in left) for name in found]
