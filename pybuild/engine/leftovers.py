"""What killed workers left behind: looked for by every build, and nearly never there.

A worker's waiter cleans up after it; only when both were killed is it left to the next build, cached or not.
"""

from __future__ import annotations

import os
from pathlib import Path

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
