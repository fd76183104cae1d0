"""Copies the bytes of one regular file as cheaply as the file system allows: shared, in the kernel, or by hand."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from typing import Final

_FICLONE: Final = 0x40049409
_CHUNK: Final = 1 << 30
_CANNOT = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EIO, errno.EBADF}
)
_no_clone: set[int] = set()


def copy_bytes(source: int, target: int, size: int) -> None:
    """Copy all of an open file into an empty one.

    Args:
        source: descriptor, read from its start.
        target: descriptor of a new file.
        size: how many bytes the source has, as far as is known.
    """
    if size and not _clone(source, target) and not _copy_range(source, target, size):
        with open(source, "rb", closefd=False) as reader, open(target, "wb", closefd=False) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)


def _clone(source: int, target: int) -> bool:
    device = os.fstat(target).st_dev
    if device in _no_clone:
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        if error.errno != errno.EXDEV:
            _no_clone.add(device)
        return False
    return True


def _copy_range(source: int, target: int, size: int) -> bool:
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(source, target, min(size - done, _CHUNK))
        except OSError as error:
            if done or error.errno not in _CANNOT:
                raise
            return False
        if count == 0:
            return done > 0
        done += count
    return True
