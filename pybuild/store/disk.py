"""The file system of a store, and how much of it the store may use. Nothing here costs a build anything to load."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Disk(NamedTuple):
    """A file system: its size, and how much of it this user may still write, in bytes."""

    total: int
    free: int


def disk_of(root: Path) -> Disk:
    """The file system that a directory is on.

    Raises:
        OSError: the directory is not there.
    """
    found = os.statvfs(root)
    return Disk(found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail)


def keep_bytes(reserved: int, max_used: int, min_free: int, used: int, free: int) -> int:
    """How large a store may stay, as BuildKit counts it (calculateKeepBytes in cache/manager.go); all in bytes.

    Args:
        reserved: so much is never removed for the other two; 0 for nothing.
        max_used: the store is to be no larger; 0 for no such limit.
        min_free: so much of the file system is to be free; 0 for no such limit.
        used: how large the store is.
        free: how much of the file system is free.

    Example:
        >>> keep_bytes(30, 100, 20, 50, 500), keep_bytes(30, 100, 20, 50, 10), keep_bytes(30, 100, 20, 50, 0)
        (100, 40, 30)
    """
    keep = max_used
    if (missing := min_free - free) > 0:
        keep = min(max_used, used - missing) if max_used else used - missing
    elif min_free and not max_used:
        keep = used
    return max(keep, reserved, 0)
