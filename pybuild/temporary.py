"""Temporary directories that do not stay behind when their process is killed: the next process removes them.

All of a user are in one directory that nobody else may enter, `pybuild-UID` in the system's temporary folder. Each is
locked as long as its process lives; whoever makes a new one removes those that nobody holds.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType


class TemporaryFolder:
    """A new, empty directory that only this user may enter; a context manager that gives its path as text.

    It goes with `remove`, at the end of the block, when this object does or the process ends, or else with the next
    one that is made.

    Args:
        prefix: what its name begins with.

    Attributes:
        path: where it is.

    Example:
        >>> with TemporaryFolder("example-") as path:
        ...     os.listdir(path)
        []
        >>> os.path.exists(path)
        False
    """

    def __init__(self, prefix: str = "") -> None:
        base = _base()
        if base is None:
            self.path, descriptor = Path(tempfile.mkdtemp(prefix=f"pybuild-{prefix}")), -1
        else:
            sweep()
            self.path, descriptor = _make(base, prefix)
        self._finish = weakref.finalize(self, _remove, self.path, descriptor, os.getpid())

    def remove(self) -> None:
        """Remove it with all that is in it; a second call does nothing."""
        self._finish()

    def __enter__(self) -> str:
        return str(self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def sweep() -> list[Path]:
    """Remove what processes left that were killed; returns what it was."""
    found: list[Path] = []
    for path, descriptor in _abandoned():
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)
        found.append(path)
    return found


def abandoned() -> list[Path]:
    """What `sweep` would remove."""
    found: list[Path] = []
    for path, descriptor in _abandoned():
        os.close(descriptor)
        found.append(path)
    return found


def _abandoned() -> Iterator[tuple[Path, int]]:
    """Directories that nobody holds, each held by the caller from now on."""
    base = _base()
    if base is None:
        return
    for path in sorted(base.iterdir()):
        descriptor = _locked(path)
        if descriptor >= 0:
            yield path, descriptor


def _make(base: Path, prefix: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        descriptor = _locked(path)
        if descriptor >= 0:
            return path, descriptor
        # Somebody took it for abandoned before it was locked, and removes it.


def _locked(path: Path) -> int:
    """A descriptor that holds a directory, -1 where somebody else does or it is gone."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.stat(), os.fstat(descriptor)):
            return descriptor
    except OSError:
        pass  # held, or gone
    os.close(descriptor)
    return -1


def _remove(path: Path, descriptor: int, process: int) -> None:
    """Remove a directory; a process that was forked from its owner leaves it alone."""
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)
    if descriptor >= 0:
        os.close(descriptor)


def _base() -> Path | None:
    """The directory of this user's temporary directories; None where somebody else has put something in its place.

    Nor is there one on a system without such locks.
    """
    if sys.platform == "win32":
        return None
    path = Path(tempfile.gettempdir()) / f"pybuild-{_user()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except OSError:
        return None
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return path if own else None


def _user() -> int:
    """The user's id as the whole machine knows it, also from inside of a user namespace."""
    user = os.geteuid()
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    except OSError:
        return user  # a system without namespaces
    for line in lines:
        inside, outside, count = map(int, line.split())
        if inside <= user < inside + count:
            return outside + user - inside
    return user
