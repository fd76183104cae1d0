"""What a committed tree looks like: one number that changes when a file of it is lost, cut short or written again.

Files of committed snapshots are never written again, so names, types, modes, sizes and times of files say enough:
reading all bytes would cost as much as making them. Owners are left out, which differ inside and outside of a user
namespace, and so are the times of directories, which not every way to copy a store keeps.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class Sealed:
    """A tree's seal. `size` counts bytes on disk, `inodes` includes the top directory."""

    seal: bytes
    size: int
    inodes: int


def seal_of(root: Path) -> Sealed:
    """Look at every entry below a directory once.

    Args:
        root: the directory.

    Raises:
        FileNotFoundError: it is not there.
        PermissionError: a part of it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     before = seal_of(Path(directory))
        ...     _ = Path(directory, "file").write_text("text")
        ...     before == seal_of(Path(directory))
        False
    """
    top = root.lstat()
    size, inodes = top.st_blocks * 512, {top.st_ino}
    found = hashlib.sha256()
    pending = [(b"", os.fsencode(root))]
    while pending:
        name, directory = pending.pop()
        with os.scandir(directory) as listing:
            entries = sorted([(entry.name, entry.stat(follow_symlinks=False)) for entry in listing], key=_name)
        lines: list[tuple[bytes, int, int, int]] = []
        for child, status in entries:
            mode = status.st_mode
            if status.st_ino not in inodes:
                inodes.add(status.st_ino)
                size += status.st_blocks * 512
            if stat.S_ISDIR(mode):
                lines.append((child, mode, 0, 0))
                pending.append((name + b"/" + child, directory + b"/" + child))
            elif stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                lines.append((child, mode, status.st_size, status.st_mtime_ns))
            else:
                lines.append((child, mode, status.st_rdev, 0))
        found.update(repr((name, lines)).encode())
    return Sealed(seal=found.digest()[:16], size=size, inodes=len(inodes))


def _name(entry: tuple[bytes, os.stat_result]) -> bytes:
    return entry[0]
