"""Control groups of the steps: where they go, and removing those that a killed worker left behind.

The runtime makes them as `pybuild/WORKER/CONTAINER` in every hierarchy. They are the one thing that does not vanish
with the worker's namespaces; empty as they are then, they can be removed by anyone who knows the worker is gone.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

PARENT = "pybuild"
_ROOT = "/sys/fs/cgroup"


def cgroups_path(worker: str, container: str) -> str:
    """The `cgroupsPath` of a step's runtime config."""
    return f"/{PARENT}/{worker}/{container}"


def hierarchies(root: str = _ROOT) -> Iterator[str]:
    """The mounted hierarchies: the unified one, or one per controller (and both on hybrid hosts)."""
    if os.path.exists(f"{root}/cgroup.controllers"):
        yield root
        return
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError:
        return
    yield from (entry.path for entry in entries if entry.is_dir() and not entry.is_symlink())


def remove_worker(worker: str, *, root: str = _ROOT) -> bool:
    """Remove the control groups of a worker that has ended; those with processes in them stay.

    The kernel takes its time: a process that was killed is in its group until it has given back all that it held,
    which is after its locks are free and its command line is gone.

    Returns:
        Whether nothing is left that a later call could remove.
    """
    busy = False
    for hierarchy in hierarchies(root):
        top = f"{hierarchy}/{PARENT}/{worker}"
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(directory)
            except OSError as error:
                busy = busy or error.errno in (errno.EBUSY, errno.ENOTEMPTY)
    return not busy
