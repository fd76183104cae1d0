"""Exports the result's files into a directory (buildx's `--output type=local`).

Files that are there already and not in the result stay. Each file appears under its name when it is complete.
Everything belongs to the user who builds, as with BuildKit's client; devices are left out when the user may not make
them.
"""

from __future__ import annotations

import contextlib
import os
import stat as statmod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from pybuild.errors import ExportError
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.several import folders
from pybuild.protocols import ExportInput, ExportResult
from pybuild.store.attributes import CAPABILITY, read_xattrs
from pybuild.store.filecopy import copy_bytes
from pybuild.store.tree import Entry, LayeredTree

if TYPE_CHECKING:
    from pybuild.store.store import Store

_SUFFIX: Final = ".pybuild-new"
_BATCH: Final = 64
"""How many files are made in one go."""


class LocalExporter:
    """See protocols.Exporter.

    Args:
        store: where results are.
    """

    type = "local"

    def __init__(self, store: Store) -> None:
        self._store = store

    def export(self, source: ExportInput, report: Callable[[str], None]) -> ExportResult:
        """See protocols.Exporter."""
        Attributes(source.output, known=("platform-split", "mode", "attestation-prefix")).done()
        dest = source.output.dest
        if dest in ("", "-"):
            raise ExportError("type=local needs a directory", hint="add dest=DIRECTORY, or use type=tar for a stream")
        if os.path.lexists(dest) and not os.path.isdir(dest):
            raise ExportError(f'the destination "{dest}" is not a directory')
        found = folders(self._store, source)
        try:
            for each in found:
                report(f"copying files {each.name}".rstrip())
                place = os.path.join(dest, each.name) if each.name else dest
                os.makedirs(place, exist_ok=True)
                copy = _Copy(os.path.realpath(place), source.source_date_epoch)
                copy.run(each.tree)
                for name, data in each.attestations:
                    copy.write(name, data)
        except OSError as error:
            where = error.filename or dest
            raise ExportError(f'cannot write "{where}": {error.strerror or error}') from error
        return ExportResult(type=self.type, path=dest)


class _Copy:
    """One tree on its way into a directory of the user.

    Making files is what takes the time, in the kernel, so a few threads do it; further names of hard-linked files and
    the times of directories come when they are done.
    """

    def __init__(self, root: str, epoch: int | None) -> None:
        self._root = root
        self._latest = None if epoch is None else epoch * 1_000_000_000
        self._as_root = os.geteuid() == 0

    def run(self, tree: LayeredTree) -> None:
        directories: list[tuple[str, Entry]] = []
        firsts: dict[tuple[int, int], str] = {}
        links: list[tuple[str, str]] = []
        new: set[str] = set()  # directories that were not there before
        with _Threads(self._make) as threads:
            for entry in tree.walk():
                path = entry.path
                if path == "/":
                    continue
                target = self._root + path
                if entry.is_dir:
                    if self._make_directory(target):
                        new.add(path)
                    directories.append((target, entry))
                    continue
                if path[: path.rindex("/")] not in new:
                    _check_place(target)
                status = entry.stat
                if status.st_nlink > 1:
                    first = firsts.setdefault((status.st_dev, status.st_ino), target)
                    if first is not target:
                        links.append((first, target))
                        continue
                threads.add(target, entry)
        for first, target in links:
            if os.path.lexists(first):  # what could not be made has no names
                _put(target, partial(os.link, first, follow_symlinks=False))
        for target, entry in reversed(directories):  # last, because what is put into them changes their times
            self._attributes(target, entry)

    def write(self, name: str, data: bytes) -> None:
        """Add a file that is no part of the tree, for its owner alone as BuildKit writes attestations."""
        target = os.path.join(self._root, name)
        staging = target + _SUFFIX
        if os.path.lexists(staging):
            os.unlink(staging)
        with open(os.open(staging, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
        if self._latest is not None:
            os.utime(staging, ns=(self._latest, self._latest))
        os.replace(staging, target)

    @staticmethod
    def _make_directory(target: str) -> bool:
        """Whether it was not there before."""
        try:
            os.mkdir(target, mode=0o700)
        except FileExistsError:
            if not statmod.S_ISDIR(os.lstat(target).st_mode):
                os.unlink(target)
                os.mkdir(target, mode=0o700)
                return True
            os.chmod(target, 0o700)
            return False
        return True

    def _make(self, target: str, entry: Entry) -> None:
        status = entry.stat
        kind = statmod.S_IFMT(status.st_mode)
        if kind == statmod.S_IFSOCK or (kind in (statmod.S_IFCHR, statmod.S_IFBLK) and not self._as_root):
            return
        _put(target, lambda staging: self._create(staging, entry, kind))

    def _create(self, staging: str, entry: Entry, kind: int) -> None:
        if kind == statmod.S_IFREG:
            self._copy(staging, entry)
        elif kind == statmod.S_IFLNK:
            os.symlink(os.readlink(entry.real), staging)
        else:
            os.mknod(staging, kind | 0o600, entry.stat.st_rdev)
        self._attributes(staging, entry)

    @staticmethod
    def _copy(staging: str, entry: Entry) -> None:
        reader = os.open(entry.real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            writer = os.open(staging, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                copy_bytes(reader, writer, entry.stat.st_size)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def _attributes(self, target: str, entry: Entry) -> None:
        status = entry.stat
        link = statmod.S_ISLNK(status.st_mode)
        if not link:
            os.chmod(target, statmod.S_IMODE(status.st_mode))
            if self._as_root and statmod.S_ISREG(status.st_mode):
                for name, value in read_xattrs(entry.real):
                    if name == CAPABILITY:
                        os.setxattr(target, name, value)
        mtime = status.st_mtime_ns if self._latest is None else min(status.st_mtime_ns, self._latest)
        os.utime(target, ns=(mtime, mtime), follow_symlinks=False)


def _check_place(target: str) -> None:
    """A file never takes the place of a directory."""
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return
    if statmod.S_ISDIR(found.st_mode):
        raise ExportError(f'"{target}" is a directory; the result has a file there', hint="remove it first")


def _put(target: str, make: Callable[[str], None]) -> None:
    """Have something made beside `target`, and give it that name when it is complete."""
    staging = target + _SUFFIX
    try:
        try:
            make(staging)
        except FileExistsError:  # of an export that was killed
            os.unlink(staging)
            make(staging)
        os.replace(staging, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staging)
        raise


class _Threads:
    """Makes files on a few threads, in batches. The first error ends it, at one of the next files or at the end.

    Args:
        make: what is done with each target and entry.
    """

    def __init__(self, make: Callable[[str, Entry], None]) -> None:
        self._make = make
        self._batch: list[tuple[str, Entry]] = []

    def __enter__(self) -> Self:
        from collections import deque
        from concurrent.futures import Future, ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(max_workers=min(4, len(os.sched_getaffinity(0))))
        self._running: deque[Future[None]] = deque()
        return self

    def add(self, target: str, entry: Entry) -> None:
        """One file more."""
        self._batch.append((target, entry))
        if len(self._batch) == _BATCH:
            self._start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._start()
                for future in self._running:
                    future.result()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _start(self) -> None:
        batch, self._batch = self._batch, []
        self._running.append(self._pool.submit(self._do, batch))
        while self._running and self._running[0].done():
            self._running.popleft().result()

    def _do(self, batch: list[tuple[str, Entry]]) -> None:
        for target, entry in batch:
            self._make(target, entry)
