"""The metadata of a file as a value, and how it is put on a new inode.

Extended attributes that overlayfs keeps for itself (`trusted.overlay.*`, `user.overlay.*`) describe a layer, not a
file: they are never read as a file's own and never copied.
"""

from __future__ import annotations

import errno
import os
import stat as statmod
from typing import Final, NamedTuple

OPAQUE_XATTRS: Final = ("trusted.overlay.opaque", "user.overlay.opaque")
CAPABILITY: Final = "security.capability"
_OVERLAY = ("trusted.overlay.", "user.overlay.")
_UNSUPPORTED = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.EINVAL})

Xattrs = tuple[tuple[str, bytes], ...]


class Attributes(NamedTuple):
    """What a file has besides its content. `mtime_ns` in nanoseconds since the epoch, None for now."""

    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_ns: int | None = None
    xattrs: Xattrs = ()


PLAIN_FILE: Final = Attributes()
PLAIN_DIRECTORY: Final = Attributes(0o755)


def attributes_of(status: os.stat_result, xattrs: Xattrs = ()) -> Attributes:
    """The attributes that a file with this lstat has."""
    return Attributes(statmod.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, xattrs)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlayfs's mark of a removed file."""
    return status.st_rdev == 0 and statmod.S_ISCHR(status.st_mode)


def is_opaque(directory: str) -> bool:
    """Whether overlayfs shows nothing of the layers below this directory."""
    try:
        names = os.listxattr(directory, follow_symlinks=False)
    except OSError:
        return False
    if not names:
        return False
    return any(name in names and os.getxattr(directory, name, follow_symlinks=False) == b"y" for name in OPAQUE_XATTRS)


def xattr_names(real: str) -> list[str]:
    """Names of the file's own extended attributes, sorted; none where the file system has no such thing."""
    try:
        names = os.listxattr(real, follow_symlinks=False)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return []
        raise
    return sorted(name for name in names if not name.startswith(_OVERLAY)) if names else names


def read_xattrs(real: str) -> Xattrs:
    """The file's own extended attributes, sorted by name."""
    return tuple((name, os.getxattr(real, name, follow_symlinks=False)) for name in xattr_names(real))


def apply_attributes(target: int | str, attributes: Attributes, *, symlink: bool = False) -> None:
    """Put `attributes` on a new inode, given as an open file or a path.

    The order matters: chown clears set-id bits and capabilities, and everything but chmod leaves the times alone.

    Args:
        target: file descriptor or path.
        attributes: what to set.
        symlink: the path is a symbolic link, which has no mode of its own.
    """
    if symlink:
        os.chown(target, attributes.uid, attributes.gid, follow_symlinks=False)
    else:
        os.chown(target, attributes.uid, attributes.gid)
        os.chmod(target, attributes.mode)
    for name, value in attributes.xattrs:
        _set_xattr(target, name, value, follow=not symlink)
    if attributes.mtime_ns is not None:
        times = (attributes.mtime_ns, attributes.mtime_ns)
        if symlink:
            os.utime(target, ns=times, follow_symlinks=False)
        else:
            os.utime(target, ns=times)


def _set_xattr(target: int | str, name: str, value: bytes, *, follow: bool) -> None:
    try:
        if follow:
            os.setxattr(target, name, value)
        else:
            os.setxattr(target, name, value, follow_symlinks=False)
    except OSError as error:
        # BuildKit too goes on without an attribute that this file system or user namespace does not allow.
        if error.errno not in _UNSUPPORTED:
            raise
