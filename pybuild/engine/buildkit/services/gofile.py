"""Modes of files as Go's os.FileMode has them, which is how they travel (os/types.go)."""

from __future__ import annotations

import stat
from typing import Final

DIRECTORY: Final = 1 << 31
SYMLINK: Final = 1 << 27
DEVICE: Final = 1 << 26
PIPE: Final = 1 << 25
SOCKET: Final = 1 << 24
SETUID: Final = 1 << 23
SETGID: Final = 1 << 22
CHARACTER: Final = 1 << 21
STICKY: Final = 1 << 20
TYPE: Final = DIRECTORY | SYMLINK | DEVICE | PIPE | SOCKET | CHARACTER | 1 << 19

_KINDS: Final = {
    stat.S_IFREG: 0,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFBLK: DEVICE,
    stat.S_IFCHR: DEVICE | CHARACTER,
    stat.S_IFIFO: PIPE,
    stat.S_IFSOCK: SOCKET,
}
_FORMATS: Final = {bits: kind for kind, bits in _KINDS.items()}


def to_go(mode: int) -> int:
    """A mode of lstat(2) as Go's.

    Example:
        >>> hex(to_go(0o040755)), to_go(0o100644) == 0o644
        ('0x800001ed', True)
    """
    bits = _KINDS.get(stat.S_IFMT(mode), 0) | (mode & 0o777)
    if mode & 0o7000:
        bits |= SETUID * bool(mode & stat.S_ISUID) | SETGID * bool(mode & stat.S_ISGID)
        bits |= STICKY * bool(mode & stat.S_ISVTX)
    return bits


def from_go(mode: int) -> int:
    """Go's mode as one of lstat(2).

    Example:
        >>> oct(from_go(to_go(0o104755)))
        '0o104755'
    """
    found = _FORMATS.get(mode & TYPE, stat.S_IFREG) | (mode & 0o777)
    found |= (
        stat.S_ISUID * bool(mode & SETUID) | stat.S_ISGID * bool(mode & SETGID) | stat.S_ISVTX * bool(mode & STICKY)
    )
    return found
