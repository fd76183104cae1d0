"""Named locks between processes, and between threads of one process: flock on files under locks/.

The kernel releases them when their holder dies, however it dies. Every acquisition opens its own file description,
so two threads exclude each other as two processes do. Lock files vanish with their last holder; who waited for such
a file finds that its name is gone, or leads to another file, and starts over.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pybuild.errors import StoreError


class LockHandle:
    """A held lock; a context manager that releases it."""

    def __init__(self, path: Path, descriptor: int, *, exclusive: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._exclusive = exclusive

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if self._exclusive or _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                _unlink_own(self._path, descriptor)
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Locks:
    """All locks of a store.

    Args:
        directory: holds the lock files; must exist.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     locks = Locks(Path(directory))
        ...     with locks.exclusive("a"):
        ...         print(locks.try_exclusive("a"))
        None
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def exclusive(self, name: str, *, blocking: bool = True) -> Generator[LockHandle, None, None]:
        """Hold `name` alone for the block.

        Raises:
            StoreError: somebody has it and `blocking` is false.
        """
        with self._acquire(name, exclusive=True, blocking=blocking) or _busy(name) as handle:
            yield handle

    @contextmanager
    def shared(self, name: str, *, blocking: bool = True) -> Generator[LockHandle, None, None]:
        """Hold `name` together with other shared holders for the block.

        Raises:
            StoreError: somebody has it exclusively and `blocking` is false.
        """
        with self._acquire(name, exclusive=False, blocking=blocking) or _busy(name) as handle:
            yield handle

    def try_exclusive(self, name: str) -> LockHandle | None:
        """The lock, or None when somebody has it in any mode."""
        return self._acquire(name, exclusive=True, blocking=False)

    def try_shared(self, name: str) -> LockHandle | None:
        """The lock in shared mode, or None when somebody has it exclusively."""
        return self._acquire(name, exclusive=False, blocking=False)

    def sweep(self) -> None:
        """Remove the files that killed holders left behind."""
        for path in self._directory.iterdir():
            handle = _take(path, exclusive=True, blocking=False)
            if handle is not None:
                handle.release()

    def stale(self) -> Iterator[Path]:
        """The files that killed holders left behind."""
        for path in self._directory.iterdir():
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # released meanwhile
            try:
                if _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB) and _is_at(path, descriptor):
                    yield path
            finally:
                os.close(descriptor)

    def _acquire(self, name: str, *, exclusive: bool, blocking: bool) -> LockHandle | None:
        path = self._directory / hashlib.sha256(name.encode()).hexdigest()[:32]
        return _take(path, exclusive=exclusive, blocking=blocking)


def is_locked(path: Path) -> bool:
    """Whether some process holds an exclusive lock on the file; no file, no lock.

    Asks for a shared lock, so that two who ask at the same time do not take each other for the holder.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def lock_new_file(path: Path, staging: Path) -> int:
    """Create `path`, locked exclusively from the moment it can be seen; returns the descriptor that holds the lock.

    Args:
        path: must not exist.
        staging: a free name on the same file system, used until the file is locked.
    """
    descriptor = os.open(staging, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        staging.rename(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _take(path: Path, *, exclusive: bool, blocking: bool) -> LockHandle | None:
    how = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if blocking else fcntl.LOCK_NB)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _flock(descriptor, how):
                os.close(descriptor)
                return None
            if _is_at(path, descriptor):
                return LockHandle(path, descriptor, exclusive=exclusive)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder unlinked it while this one waited


def _flock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _unlink_own(path: Path, descriptor: int) -> None:
    if _is_at(path, descriptor):
        path.unlink()


def _busy(name: str) -> LockHandle:
    raise StoreError(f'"{name}" is locked by another build', hint="wait until that build has ended")
