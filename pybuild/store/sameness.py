"""Whether two entries of trees are the same: what the comparisons of layers and of trees agree on.

containerd's and BuildKit's walks trust equal sizes and equal times with a fraction. Two steps that run at one moment
can write such files with different bytes, so here the bytes decide: it costs little, for an entry that was written
again without any change is rare.
"""

from __future__ import annotations

import os
import stat as statmod
from typing import Final

from pybuild.store.tree import Entry

_CHUNK: Final = 1 << 20


def same_owner_and_mode(old: os.stat_result, new: os.stat_result) -> bool:
    """Whether type, permissions, owner and device number are equal."""
    return (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) == (new.st_mode, new.st_uid, new.st_gid, new.st_rdev)


def same_content(old: Entry, new: Entry) -> bool:
    """Whether two entries of the same type, neither a directory, have equal times and content."""
    was, now = old.stat, new.stat
    if was.st_mtime_ns != now.st_mtime_ns:
        return False
    if statmod.S_ISLNK(now.st_mode):
        return os.readlink(old.real) == os.readlink(new.real)
    return was.st_size == now.st_size and (not statmod.S_ISREG(now.st_mode) or same_bytes(old.real, new.real))


def same_bytes(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two regular files hold the same bytes. Files of different sizes may be given."""
    with open(one, "rb", buffering=0) as first, open(other, "rb", buffering=0) as second:
        while True:
            data = first.read(_CHUNK)
            if data != second.read(_CHUNK):
                return False
            if not data:
                return True
