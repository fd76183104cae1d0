"""Mount points inside a step's root file system: made before it runs, and removed again where nothing was put there.

What did not exist before and is still empty afterwards disappears with its new parents, and the times of the
directories around are restored, so mounting leaves no trace in the layer. Mirrors `MountStubsCleaner` of BuildKit's
executor/stubs.go. `drop_copies` takes away what overlayfs leaves of it: a copy of each directory around.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import attrs

from pybuild.errors import SolveError
from pybuild.store.attributes import attributes_of, is_opaque, read_xattrs
from pybuild.store.tree import LayeredTree

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
        self.touched: set[str] = set()
        """Directories in which something was made."""

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
        self.touched.add(os.path.dirname(path))
        self._made.append(_Made(path=path, parent_times=(parent.st_atime_ns, parent.st_mtime_ns)))

    def clean(self) -> None:
        """Remove what was made here and is still empty, innermost first.

        The step may have put links where directories were, which here would lead out of its root: none is followed.
        """
        for made in reversed(self._made):
            above, name = os.path.split(made.path)
            try:
                with opened_in(self._rootfs, above, os.O_RDONLY | os.O_DIRECTORY) as parent:
                    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        os.rmdir(name, dir_fd=parent)
                    elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
                        os.unlink(name, dir_fd=parent)
                    else:
                        continue
                    os.utime(parent, ns=made.parent_times)
            except OSError:
                continue  # filled, replaced or removed by the step: then it is part of its result
        self._made.clear()


@contextmanager
def opened_in(root: str, path: str, flags: int) -> Generator[int]:
    """A descriptor of `path` inside the directory `root`; no component may be a symbolic link.

    Raises:
        OSError: one is (ELOOP or ENOTDIR), or is not there.
    """
    held = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parts = [part for part in path.split("/") if part]
        for position, part in enumerate(parts or ["."]):
            last = position >= len(parts) - 1
            how = flags if last else os.O_PATH | os.O_DIRECTORY
            held, above = os.open(part, how | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held), held
            os.close(above)
        yield held
    finally:
        os.close(held)


def nested(target: str, targets: Iterable[str]) -> bool:
    """Whether `target` lies inside another mount: then its mount point is in there, not in the root file system."""
    return any(other not in (target, "/") and target.startswith(other.rstrip("/") + "/") for other in targets)


def drop_copies(layer: Path, lower: LayeredTree, directories: Iterable[str]) -> None:
    """Remove directories from an unmounted layer that say nothing: empty, and equal to what lies below.

    Args:
        layer: the layer's own directory.
        lower: the tree below it.
        directories: where to look; their parents follow.
    """
    root = str(layer)
    for directory in sorted(directories, key=len, reverse=True):
        path = directory
        while path != "/" and _is_copy(root, lower, path):
            path, removed = os.path.dirname(path), path
            times = os.stat(root + path)
            os.rmdir(root + removed)
            os.utime(root + path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _is_copy(root: str, lower: LayeredTree, path: str) -> bool:
    here = root
    for part in path.strip("/").split("/"):
        here += f"/{part}"
        # A step may have put a link there, which leads out of the layer.
        if os.path.islink(here) or not os.path.isdir(here):
            return False
    below = lower.lookup(path, follow=False)
    if below is None or not below.is_dir or os.listdir(here) or is_opaque(here):
        return False
    return attributes_of(os.lstat(here), read_xattrs(here)) == attributes_of(below.stat, read_xattrs(below.real))


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
