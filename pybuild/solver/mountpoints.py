"""Mount points inside a step's root file system: made before it runs, and removed again where nothing was put there.

What did not exist before and is still empty afterwards disappears with its new parents, and the times of the
directories around are restored, so mounting leaves no trace in the layer. Mirrors `MountStubsCleaner` of BuildKit's
executor/stubs.go.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import attrs

from pybuild.errors import SolveError

_MAX_LINKS = 40


@attrs.frozen(kw_only=True)
class _Made:
    path: str
    parent_times: tuple[int, int]


class MountPoints:
    """The mount points of one step.

    Args:
        rootfs: the mounted root file system.
    """

    def __init__(self, rootfs: Path) -> None:
        self._rootfs = str(rootfs)
        self._made: list[_Made] = []

    def prepare(self, target: str, *, is_directory: bool, mode: int = 0o755) -> str:
        """Make sure that `target` exists; returns it with all symbolic links inside the root resolved.

        Args:
            target: the mount point.
            is_directory: what it is when it must be made.
            mode: permission bits of a directory that must be made; those above it have the usual ones.

        Raises:
            SolveError: a parent is not a directory, or links form a loop.
        """
        path = resolve_in(self._rootfs, target)
        missing: list[str] = []
        probe = path
        while not os.path.lexists(self._rootfs + probe):
            missing.append(probe)
            probe = os.path.dirname(probe)
        for position, created in enumerate(reversed(missing)):
            last = position == len(missing) - 1
            self._create(created, as_directory=is_directory or not last)
        if missing and is_directory and mode != 0o755:
            os.chmod(self._rootfs + path, mode)
        return path

    def _create(self, path: str, *, as_directory: bool) -> None:
        full = self._rootfs + path
        parent = os.stat(os.path.dirname(full))
        try:
            if as_directory:
                os.mkdir(full, 0o755)
            else:
                os.close(os.open(full, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except OSError as error:
            raise SolveError(f'cannot create mount point "{path}": {error.strerror}') from error
        self._made.append(_Made(path=path, parent_times=(parent.st_atime_ns, parent.st_mtime_ns)))

    def clean(self) -> None:
        """Remove what was made here and is still empty, innermost first."""
        for made in reversed(self._made):
            full = self._rootfs + made.path
            try:
                found = os.lstat(full)
                if stat.S_ISDIR(found.st_mode):
                    os.rmdir(full)
                elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
                    os.unlink(full)
                else:
                    continue
                os.utime(os.path.dirname(full), ns=made.parent_times)
            except OSError:
                continue  # filled, replaced or removed by the step: then it is part of its result
        self._made.clear()


def nested(target: str, targets: Iterable[str]) -> bool:
    """Whether `target` lies inside another mount: then its mount point is in there, not in the root file system."""
    return any(other not in (target, "/") and target.startswith(other.rstrip("/") + "/") for other in targets)


def resolve_in(root: str, path: str) -> str:
    """`path` with its symbolic links followed as a process with the root directory `root` would; never leaves `root`.

    Components that do not exist are kept as they are.

    Raises:
        SolveError: too many links.
    """
    pending = [part for part in path.split("/") if part][::-1]
    current = ""
    links = 0
    while pending:
        part = pending.pop()
        if part == ".":
            continue
        if part == "..":
            current = current.rpartition("/")[0]
            continue
        try:
            text = os.readlink(f"{root}{current}/{part}")
        except OSError:
            current = f"{current}/{part}"
            continue
        links += 1
        if links > _MAX_LINKS:
            raise SolveError(f'too many symbolic links in "{path}"')
        if text.startswith("/"):
            current = ""
        pending += [piece for piece in text.split("/") if piece][::-1]
    return current or "/"
