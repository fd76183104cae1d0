"""A worker's state directory: a lock that says that it lives, and a private memory file system for everything else.

What is in the memory file system (bundles, the runtime's state, secrets) nobody else sees, never reaches a disk, and
is gone with the worker. `sweep` removes what remains of workers that ended without closing: the directory itself and
their control groups. The lock file goes last, when all else is gone: it is what leads the next sweep to the rest.
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
#: A lock file that is not locked yet.
_NEW_SUFFIX = ".new"


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
            self._stack.callback(os.close, _locked_file(self.path))
        except OSError as error:
            raise StoreError(f'cannot write to "{self._base}": {error.strerror}') from error
        self._stack.callback(_remove, self._base, f"{self.name}{_LOCK_SUFFIX}")
        self._stack.enter_context(private_tmpfs(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        # What was still dying when this worker started is gone by now.
        sweep(self._base)


def _locked_file(path: Path) -> int:
    """Make the worker's lock file and lock it before it can be seen under its name; returns its descriptor."""
    while True:
        lock = os.open(f"{path}{_NEW_SUFFIX}", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(f"{path}{_NEW_SUFFIX}", f"{path}{_LOCK_SUFFIX}")
        except FileNotFoundError:
            os.close(lock)  # a sweep came between making and locking it, and took it for one of the dead
        except OSError:
            os.close(lock)
            raise
        else:
            return lock


def stale(base: Path) -> list[str]:
    """The files that say of a worker that something is left of it, though it has ended."""
    found: list[str] = []
    for entry in sorted(base.iterdir()) if base.is_dir() else []:
        if not entry.name.endswith((_LOCK_SUFFIX, _NEW_SUFFIX)):
            continue
        try:
            lock = os.open(entry, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(entry.name)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    return found


def sweep(base: Path) -> int:
    """Remove what workers left behind that were killed; returns of how many nothing is left now."""
    removed = 0
    for entry in list(os.scandir(base)) if base.is_dir() else []:
        if not entry.name.endswith((_LOCK_SUFFIX, _NEW_SUFFIX)):
            continue
        try:
            lock = os.open(entry.path, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed += _remove(base, entry.name)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    return removed


def _remove(base: Path, lock_name: str) -> bool:
    """Remove what there is of a worker, and the file that says so unless something has to stay; whether it is gone."""
    name = lock_name.rpartition(".")[0]
    if not cgroups.remove_worker(name):
        return False
    for action, path in ((os.rmdir, base / name), (os.unlink, base / lock_name)):
        try:
            action(path)
        except OSError:
            continue
    return True
