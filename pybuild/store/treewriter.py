"""Changes a layered tree by writing into its upper directory, as overlayfs itself would, without mounting anything.

Regular files are immutable once written: an inode may be shared with committed snapshots, so every change of a
file makes a new inode. Paths are given resolved (`LayeredTree.resolve`): a link among the parents is an error, never
followed, so nothing is ever written outside the upper directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat as statmod
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from pybuild.errors import AlreadyExists, NotFound, StoreError
from pybuild.store.attributes import (
    OPAQUE_XATTRS,
    PLAIN_DIRECTORY,
    PLAIN_FILE,
    Attributes,
    apply_attributes,
    attributes_of,
    read_xattrs,
)
from pybuild.store.filecopy import copy_bytes
from pybuild.store.tree import Entry, LayeredTree

Whiteouts: TypeAlias = Literal["overlay", "userxattr", "native"]
_NOT_LINKABLE = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP})
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class TreeWriter:
    """Writes changes into `upper` so that the overlay of `lowers` and `upper` is the changed tree.

    Args:
        lowers: the layers below, topmost first; none for a snapshotter that keeps whole trees in `upper`.
        upper: the directory that takes the changes.
        whiteouts: how removals are recorded: as overlayfs does, the same with opaque marks in the `user.`
            namespace (mounts with `userxattr`), or not at all because nothing lies below.
        shares: whether copied files may share the inodes of their sources.

    Example:
        writer = TreeWriter(lowers, upper)
        writer.mkdir("/app", Attributes(0o755))
        writer.write_file("/app/hello", b"hi", Attributes(0o644, mtime_ns=0))
    """

    def __init__(
        self, lowers: Sequence[Path | str], upper: Path | str, *, whiteouts: Whiteouts = "overlay", shares: bool = True
    ) -> None:
        self._shares = shares
        self.upper = os.fspath(upper)
        self.whiteouts: Whiteouts = whiteouts
        self.view = LayeredTree((self.upper, *lowers))
        self._uppers: set[str] = {"/"}  # directories known to exist in the upper directory
        self._fresh: set[str] = set() if lowers else {"/"}  # those of them that show nothing of the layers below
        self._linked: set[tuple[int, int]] = set()

    # -- creating --------------------------------------------------------------------------------------------------

    def mkdir(self, path: str, attributes: Attributes = PLAIN_DIRECTORY) -> None:
        """Create a directory. Raises AlreadyExists, NotFound (parent)."""
        real = self._place(path)
        shows_lower = False
        if not self.parent_is_fresh(path):
            self._refuse_existing(path)
            self._drop_whiteout(path, real)
            below = self.view.lookup(path, follow=False)
            shows_lower = below is not None and below.is_dir
        try:
            os.mkdir(real, 0o700)
        except FileExistsError:
            raise AlreadyExists(f'"{path}": file exists') from None
        if shows_lower:
            self._mark_opaque(real)
        apply_attributes(real, attributes)
        self._uppers.add(path)
        self._fresh.add(path)
        self.view.forget(path)

    def write_file(self, path: str, content: bytes | BinaryIO, attributes: Attributes = PLAIN_FILE) -> None:
        """Create or replace a regular file; another name of the replaced file keeps its old content.

        Raises:
            AlreadyExists: there is a directory.
            NotFound: there is no parent.
        """
        descriptor = self._create(path)
        try:
            if isinstance(content, bytes):
                _write(descriptor, content)
            else:
                while data := content.read(1 << 20):
                    _write(descriptor, data)
            apply_attributes(descriptor, attributes)
        finally:
            os.close(descriptor)

    def copy_file(self, path: str, source: Entry, attributes: Attributes, *, may_link: bool = True) -> None:
        """Create or replace a regular file with the content of another tree's file.

        When the source has exactly these attributes, its inode is shared (once per writer: two names of one inode
        would look like a hard link), otherwise its bytes are cloned or copied.

        Args:
            path: where.
            source: a regular file of an immutable tree.
            attributes: what the result shall have, extended attributes included.
            may_link: False when the source may still change.
        """
        status = source.stat
        inode = (status.st_dev, status.st_ino)
        linkable = (
            may_link and self._shares and inode not in self._linked and attributes[:4] == attributes_of(status)[:4]
        )
        if linkable and source.xattrs == attributes.xattrs and self._link_in(path, source.real):
            self._linked.add(inode)
            return
        descriptor = self._create(path)
        try:
            reader = os.open(source.real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                copy_bytes(reader, descriptor, status.st_size)
            finally:
                os.close(reader)
            apply_attributes(descriptor, attributes)
        finally:
            os.close(descriptor)

    def symlink(self, path: str, target: str, attributes: Attributes = PLAIN_FILE) -> None:
        """Create a symbolic link that holds the text `target`, replacing a file. Raises as `write_file`."""
        real = self._clear(path, try_first=True)
        try:
            os.symlink(target, real)
        except FileExistsError:
            os.symlink(target, self._clear(path))
        apply_attributes(real, attributes, symlink=True)

    def mknod(self, path: str, kind: int, device: int = 0, attributes: Attributes = PLAIN_FILE) -> None:
        """Create a device, fifo or socket, replacing a file. Raises as `write_file`.

        Args:
            path: where.
            kind: the file type bits (`stat.S_IFCHR` ...), 0 for an empty regular file.
            device: the device number.
            attributes: the rest.
        """
        real = self._clear(path)
        os.mknod(real, kind | 0o600, device)
        apply_attributes(real, attributes)

    def link(self, path: str, existing: str) -> None:
        """Make `path` another name of the file at `existing`, replacing a file. Raises as `write_file`."""
        self._own(existing, break_links=False)
        source = self.upper + existing
        real = self._clear(path)
        os.link(source, real, follow_symlinks=False)

    def make_opaque(self, path: str) -> None:
        """Hide what the layers below have in a directory; what this writer put there stays. Raises NotFound."""
        if not self.view.lowers[1:]:
            return
        self._mark_opaque(self._upper_directory(path))
        self._uppers.add(path)
        self.view.forget(path)

    # -- changing and removing -------------------------------------------------------------------------------------

    def remove(self, path: str) -> None:
        """Remove what is at `path` and all below it. Raises NotFound, StoreError for the root."""
        if path == "/":
            raise StoreError("the root of a tree cannot be removed")
        if self.view.lookup(path, follow=False) is None:
            raise NotFound(f'"{path}": not found')
        real = self._place(path)
        self._delete(path, real)
        if self.view.lookup(path, follow=False) is not None:
            self._make_whiteout(real)
            self.view.forget(path)

    def whiteout(self, path: str) -> None:
        """Record a removal although this writer sees nothing to remove: for a layer that others will lie under.

        Raises:
            StoreError: this kind of snapshot cannot record removals.
        """
        if self.whiteouts == "native":
            raise StoreError("a snapshot of the native snapshotter cannot record removals")
        real = self._place(path)
        self._delete(path, real)
        self._make_whiteout(real)
        self.view.forget(path)

    def set_attributes(self, path: str, attributes: Attributes) -> None:
        """Replace the mode, owner and time of what is at `path`; extended attributes are added. Raises NotFound."""
        entry = self.view.need(path, follow=False)
        if entry.is_dir:
            real = self._upper_directory(path)
        else:
            self._own(path, break_links=True)
            real = self.upper + path
        apply_attributes(real, attributes, symlink=statmod.S_ISLNK(entry.stat.st_mode))
        self.view.forget(path)

    def set_mtime(self, path: str, mtime_ns: int) -> None:
        """Set a directory's modification time, in nanoseconds since the epoch. Raises NotFound."""
        real = self._upper_directory(path)
        os.utime(real, ns=(mtime_ns, mtime_ns))
        self.view.forget(path)

    # -- the upper directory ---------------------------------------------------------------------------------------

    def _place(self, path: str) -> str:
        """Where `path` lies in the upper directory, its parents made there."""
        parent = path[: path.rindex("/")] or "/"
        if parent not in self._uppers:
            self._upper_directory(parent)
        return self.upper + path

    def _upper_directory(self, path: str) -> str:
        """Copy a directory and its parents up, without their content."""
        at = ""
        for part in path.split("/")[1:] if path != "/" else ():
            at = f"{at}/{part}"
            if at in self._uppers:
                continue
            entry = self.view.lookup(at, follow=False)
            if entry is None:
                raise NotFound(f'"{at}": no such file or directory')
            if not entry.is_dir:
                raise StoreError(f'"{at}": not a directory')
            real = self.upper + at
            if entry.real != real:
                parent = os.path.dirname(real)
                before = os.lstat(parent)
                os.mkdir(real, 0o700)
                apply_attributes(real, attributes_of(entry.stat, read_xattrs(entry.real)))
                os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))  # a copy is no change of the parent
                self.view.forget(at)
            elif len(entry.dirs) == 1:
                self._fresh.add(at)
            self._uppers.add(at)
        return self.upper + path if path != "/" else self.upper

    def parent_is_fresh(self, path: str) -> bool:
        """Whether all that is beside `path` was made by this writer, as far as it knows without looking."""
        return (path[: path.rindex("/")] or "/") in self._fresh

    def _create(self, path: str) -> int:
        """A descriptor of a new, empty file at `path`."""
        real = self._clear(path, try_first=True)
        try:
            return os.open(real, _NEW, 0o600)
        except FileExistsError:
            return os.open(self._clear(path), _NEW, 0o600)

    def _link_in(self, path: str, source: str) -> bool:
        """Try to make `path` another name of the inode at `source`."""
        real = self._clear(path, try_first=True)
        try:
            try:
                os.link(source, real, follow_symlinks=False)
            except FileExistsError:
                os.link(source, self._clear(path), follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NOT_LINKABLE:
                raise
            return False
        return True

    def _clear(self, path: str, *, try_first: bool = False) -> str:
        """Where to create a file, nothing being there any more.

        Args:
            path: where in the tree.
            try_first: the caller will notice a file in the way, so in a fresh directory skip looking.
        """
        real = self._place(path)
        self.view.forget(path)
        if try_first and self.parent_is_fresh(path):
            return real
        entry = self.view.lookup(path, follow=False)
        if entry is not None and entry.is_dir:
            raise AlreadyExists(f'"{path}": is a directory')
        with contextlib.suppress(FileNotFoundError):
            os.unlink(real)
        self.view.forget(path)
        return real

    def _refuse_existing(self, path: str) -> None:
        if self.view.lookup(path, follow=False) is not None:
            raise AlreadyExists(f'"{path}": file exists')

    def _drop_whiteout(self, path: str, real: str) -> None:
        try:
            os.unlink(real)
        except FileNotFoundError:
            return
        self.view.forget(path)

    def _delete(self, path: str, real: str) -> None:
        """Remove the upper directory's own part of `path`."""
        try:
            is_dir = statmod.S_ISDIR(os.lstat(real).st_mode)
        except FileNotFoundError:
            is_dir = False
        else:
            if is_dir:
                shutil.rmtree(real)
                below = path + "/"
                self._uppers = {known for known in self._uppers if known != path and not known.startswith(below)}
                self._fresh &= self._uppers
            else:
                os.unlink(real)
        self.view.forget(path)

    def _make_whiteout(self, real: str) -> None:
        os.mknod(real, statmod.S_IFCHR, 0)

    def _mark_opaque(self, real: str) -> None:
        os.setxattr(real, OPAQUE_XATTRS[self.whiteouts == "userxattr"], b"y")

    def _own(self, path: str, *, break_links: bool) -> None:
        """See to it that the file at `path` is an inode of the upper directory (that nothing else shares)."""
        entry = self.view.need(path, follow=False)
        real = self._place(path)
        if entry.is_dir:
            raise StoreError(f'"{path}": is a directory')
        if entry.real == real and (entry.stat.st_nlink == 1 or not break_links):
            return
        attributes = attributes_of(entry.stat, read_xattrs(entry.real))
        temporary = f"{real}.pybuild-new"
        mode = entry.stat.st_mode
        if statmod.S_ISREG(mode):
            self._copy_inode(entry, temporary, attributes)
        elif statmod.S_ISLNK(mode):
            os.symlink(os.readlink(entry.real), temporary)
            apply_attributes(temporary, attributes, symlink=True)
        else:
            os.mknod(temporary, statmod.S_IFMT(mode) | 0o600, entry.stat.st_rdev)
            apply_attributes(temporary, attributes)
        os.rename(temporary, real)
        self.view.forget(path)

    def _copy_inode(self, entry: Entry, target: str, attributes: Attributes) -> None:
        with open(entry.real, "rb") as reader:
            descriptor = os.open(target, _NEW, 0o600)
            try:
                copy_bytes(reader.fileno(), descriptor, entry.stat.st_size)
                apply_attributes(descriptor, attributes)
            finally:
                os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):  # a signal, or a file system that is nearly full
        written += os.write(descriptor, memoryview(data)[written:])


def copy_into(tree: LayeredTree, target: Path | str) -> None:
    """Copy a whole tree into an empty directory that nobody else uses; files become independent of their source."""
    writer = TreeWriter((), target, whiteouts="native")
    links: dict[tuple[str, int], str] = {}
    directories: list[Entry] = []
    for entry in tree.walk():
        status = entry.stat
        mode = status.st_mode
        attributes = attributes_of(status, read_xattrs(entry.real) if entry.real else ())
        if entry.is_dir:
            if entry.path == "/":
                apply_attributes(writer.upper, attributes)
            else:
                writer.mkdir(entry.path, attributes)
            directories.append(entry)
            continue
        first = links.setdefault((entry.layer, status.st_ino), entry.path) if status.st_nlink > 1 else entry.path
        if first != entry.path:
            writer.link(entry.path, first)
        elif statmod.S_ISREG(mode):
            writer.copy_file(entry.path, entry, attributes, may_link=False)
        elif statmod.S_ISLNK(mode):
            writer.symlink(entry.path, os.readlink(entry.real), attributes)
        else:
            writer.mknod(entry.path, statmod.S_IFMT(mode), status.st_rdev, attributes)
    for entry in reversed(directories):
        writer.set_mtime(entry.path, entry.stat.st_mtime_ns)
