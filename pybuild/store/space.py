"""A full disk, said clearly: the system's error codes for it become `StoreFull` wherever the store writes."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pybuild.errors import StoreFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def reporting_full(root: Path) -> Generator[None, None, None]:
    """Turn "no space left" inside the block into `StoreFull`.

    Args:
        root: the directory that the message names.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StoreFull(
            f'no space left on the file system of "{root}": the disk is full',
            hint='free some with "pybuild prune", or use another --root',
        ) from error
