"""Exports the result's files into a directory (buildx's `--output type=local`).

Files that are there already and not in the result stay. Each file appears under its name when it is complete.
Everything belongs to the user who builds, as with BuildKit's client; devices are left out when the user may not make
them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pybuild.errors import ExportError
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.several import trees
from pybuild.protocols import ExportInput, ExportResult
from pybuild.store.attributes import CAPABILITY, read_xattrs
from pybuild.store.filecopy import copy_bytes
from pybuild.store.tree import Entry, LayeredTree

if TYPE_CHECKING:
    from pybuild.store.store import Store

_SUFFIX: Final = ".pybuild-new"


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
        Attributes(source.output, known=("platform-split", "mode")).done()
        dest = source.output.dest
        if dest in ("", "-"):
            raise ExportError("type=local needs a directory", hint="add dest=DIRECTORY, or use type=tar for a stream")
        if os.path.lexists(dest) and not os.path.isdir(dest):
            raise ExportError(f'the destination "{dest}" is not a directory')
        found = trees(self._store, source)
        try:
            for folder, tree in found:
                report(f"copying files {folder}".rstrip())
                place = os.path.join(dest, folder) if folder else dest
                os.makedirs(place, exist_ok=True)
                _Copy(os.path.realpath(place), source.source_date_epoch).run(tree)
        except OSError as error:
            where = error.filename or dest
            raise ExportError(f'cannot write "{where}": {error.strerror or error}') from error
        return ExportResult(type=self.type, path=dest)


class _Copy:
    """One tree on its way into a directory of the user."""

    def __init__(self, root: str, epoch: int | None) -> None:
        self._root = root
        self._latest = None if epoch is None else epoch * 1_000_000_000
        self._links: dict[tuple[int, int], str] = {}
        self._as_root = os.geteuid() == 0

    def run(self, tree: LayeredTree) -> None:
        directories: list[tuple[str, Entry]] = []
        for entry in tree.walk():
            if entry.path == "/":
                continue
            target = self._root + entry.path
            if entry.is_dir:
                self._make_directory(target)
                directories.append((target, entry))
            else:
                self._make(target, entry)
        for target, entry in reversed(directories):  # last, because what is put into them changes their times
            self._attributes(target, entry)

    @staticmethod
    def _make_directory(target: str) -> None:
        if os.path.islink(target) or (os.path.lexists(target) and not os.path.isdir(target)):
            os.unlink(target)
        os.makedirs(target, mode=0o700, exist_ok=True)
        os.chmod(target, 0o700)

    def _make(self, target: str, entry: Entry) -> None:
        status = entry.stat
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFSOCK or (kind in (stat.S_IFCHR, stat.S_IFBLK) and not self._as_root):
            return
        if os.path.isdir(target) and not os.path.islink(target):
            raise ExportError(f'"{target}" is a directory; the result has a file there', hint="remove it first")
        staging = target + _SUFFIX
        if os.path.lexists(staging):
            os.unlink(staging)
        try:
            first = self._links.setdefault((status.st_dev, status.st_ino), target) if status.st_nlink > 1 else target
            if first is not target:
                os.link(first, staging, follow_symlinks=False)
            else:
                self._create(staging, entry, kind)
            os.replace(staging, target)
            if os.path.lexists(staging):  # rename(2) does nothing between two names of one file
                os.unlink(staging)
        except BaseException:
            if os.path.lexists(staging):
                os.unlink(staging)
            raise

    def _create(self, staging: str, entry: Entry, kind: int) -> None:
        if kind == stat.S_IFREG:
            self._copy(staging, entry)
        elif kind == stat.S_IFLNK:
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
        link = stat.S_ISLNK(status.st_mode)
        if not link:
            os.chmod(target, stat.S_IMODE(status.st_mode))
            if self._as_root and stat.S_ISREG(status.st_mode):
                for name, value in read_xattrs(entry.real):
                    if name == CAPABILITY:
                        os.setxattr(target, name, value)
        mtime = status.st_mtime_ns if self._latest is None else min(status.st_mtime_ns, self._latest)
        os.utime(target, ns=(mtime, mtime), follow_symlinks=False)
