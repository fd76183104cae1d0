"""Collecting without being asked: a process that a build starts as it ends, when it is due, and does not wait for.

There is no daemon that could do it, and a build's user should not wait for it. The process is nice, there is one per
store at most, and it ends after a minute whatever is left: the next build goes on with that. It takes away nothing that
a build uses, as no `prune` does, and may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pybuild.errors import PybuildError
from pybuild.store.gcstate import is_due, note_collection, read_state, settle

if TYPE_CHECKING:
    from pybuild.store.store import Store

_AT_MOST_SECONDS: Final = 60.0
_LOCK: Final = "collect"


def start_collecting(root: Path) -> None:
    """Start a process that collects the store at `root`; returns at once."""
    import subprocess

    package_parent = str(Path(__file__).resolve().parents[2])
    paths = [package_parent, *filter(None, [os.environ.get("PYTHONPATH")])]
    # The shell ends at once, so that nobody has to wait for the process that it leaves.
    with contextlib.suppress(OSError):  # no process can be had: later, then
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-m", "pybuild.engine.collector", str(root)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
            check=False,
        )


def collect(store: Store) -> None:
    """Apply the policy to a store, when it is due and no other process does."""
    from pybuild.engine.leftovers import sweep_killed
    from pybuild.store.disk import disk_of
    from pybuild.store.gcsettings import read_policy

    handle = store.locks.try_exclusive(_LOCK)
    if handle is None:
        return
    with handle:
        settle(store.root)
        if not is_due(store):
            return
        try:
            sweep_killed(store.root)
            rules = read_policy(disk_of(store.root)).rules
            done = store.gc.collect(rules, until=time.monotonic() + _AT_MOST_SECONDS)
        except (PybuildError, OSError) as error:
            state = read_state(store.root)
            note_collection(store, state.size if state is not None else 0, problem=str(error))
            raise
        note_collection(store, done.left, done.removed, done.freed)


def main(root: Path) -> int:
    """Collect as a process of its own; what goes wrong is written down for `pybuild du --policy`."""
    from pybuild.engine.ownership import own_files
    from pybuild.store.store import Store

    os.nice(10)
    own_files(root)
    store = Store.open(root)
    try:
        collect(store)
    except (PybuildError, OSError):
        return 1  # it is written down
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
