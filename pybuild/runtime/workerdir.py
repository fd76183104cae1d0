"""A worker's state directory: a lock that says that it lives, and a private memory file system for everything else.

What is in the memory file system (bundles, the runtime's state, secrets) nobody else sees, never reaches a disk, and
is gone with the worker. `sweep` removes what remains of workers that ended without closing: the directory itself and
their control groups.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from pybuild.errors import StoreError
from pybuild.runtime import cgroups
from pybuild.runtime.mount import private_tmpfs

_LOCK_SUFFIX = ".lock"


class WorkerDir:
    """The state directory of this worker, below `base`; a context manager.

    Must be opened inside the worker's mount namespace.

    Args:
        base: shared by all workers of one store.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._stack = ExitStack()
        self.name = ""
        """Unique among all workers of the host; the name of its control groups."""
        self.path = base
        """The memory file system, once opened."""

    def __enter__(self) -> Self:
        self._base.mkdir(parents=True, exist_ok=True)
        sweep(self._base)
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self.path = self._base / self.name
        try:
            lock = os.open(f"{self.path}.new", os.O_CREAT | os.O_RDWR, 0o600)
            self._stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Only now may others see it: an unlocked file would be taken for one of the dead.
            os.rename(f"{self.path}.new", f"{self.path}{_LOCK_SUFFIX}")
        except OSError as error:
            raise StoreError(f'cannot write to "{self._base}": {error.strerror}') from error
        self._stack.callback(_remove, self._base, self.name)
        self._stack.enter_context(private_tmpfs(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def sweep(base: Path) -> int:
    """Remove what workers left behind that were killed; returns how many there were."""
    removed = 0
    for entry in list(os.scandir(base)) if base.is_dir() else []:
        if not entry.name.endswith(_LOCK_SUFFIX):
            continue
        try:
            lock = os.open(entry.path, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(base, entry.name.removesuffix(_LOCK_SUFFIX))
            removed += 1
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    return removed


def _remove(base: Path, name: str) -> None:
    cgroups.remove_worker(name)
    for action, path in ((os.rmdir, base / name), (os.unlink, base / f"{name}{_LOCK_SUFFIX}")):
        try:
            action(path)
        except OSError:
            continue
