"""The receiving half of fsutil's protocol, into a directory of the user (tonistiigi/fsutil, receive.go).

What is there already and not in the result stays. Each file appears under its name when it is complete. Everything
belongs to the user who builds; devices are left out when the user may not make them. Nothing outside the directory is
ever touched, whatever an engine sends: paths are checked, and no symbolic link on the way is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from pybuild.engine.buildkit.pb.fsutil_pb2 import Packet
from pybuild.engine.buildkit.pb.stat_pb2 import Stat
from pybuild.engine.buildkit.services.gofile import from_go
from pybuild.errors import ExportError
from pybuild.protocols import Refused

_SUFFIX: Final = ".pybuild-new"
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CAPABILITY: Final = "security.capability"


class Destination:
    """A directory that is written into by paths relative to it.

    Args:
        root: the directory; it is made when it is not there.

    Raises:
        ExportError: it is not a directory, or cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._as_root = os.geteuid() == 0
        try:
            os.makedirs(self._root, exist_ok=True)
            self._fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ExportError(f'cannot write "{root}": {error.strerror}') from error
        self._parent: tuple[str, int] = ("", os.dup(self._fd))
        self._directories: list[tuple[str, Stat]] = []

    def close(self) -> None:
        """Give the modes and times of directories, which what is put into them changes, and let go."""
        try:
            for path, status in reversed(self._directories):
                parent, name = self.parent(path)
                self._attributes(parent, name, status)
        finally:
            os.close(self._parent[1])
            os.close(self._fd)

    def parent(self, path: str) -> tuple[int, str]:
        """The directory that `path` is in, open, and its name there."""
        parts = path.split("/")
        if not path or any(part in ("", ".", "..") for part in parts) or "\0" in path:
            raise Refused("INVALID_ARGUMENT", f'"{path}" is no path below the destination')
        directory = "/".join(parts[:-1])
        if self._parent[0] != directory:
            found = os.dup(self._fd)
            for part in parts[:-1]:
                try:
                    deeper = os.open(part, _OPEN_DIRECTORY, dir_fd=found)
                finally:
                    os.close(found)
                found = deeper
            os.close(self._parent[1])
            self._parent = (directory, found)
        return self._parent[1], parts[-1]

    def make_directory(self, path: str, status: Stat) -> None:
        """Make a directory, in the place of a file or link that may be there."""
        parent, name = self.parent(path)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                os.unlink(name, dir_fd=parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        os.chmod(name, 0o700, dir_fd=parent)
        self._directories.append((path, status))

    def make_special(self, path: str, status: Stat) -> None:
        """Make a symbolic link, a pipe or a device."""
        mode = from_go(status.mode)
        kind = stat.S_IFMT(mode)
        if kind == stat.S_IFSOCK or (kind in (stat.S_IFCHR, stat.S_IFBLK) and not self._as_root):
            return
        parent, name = self.parent(path)
        staging = name + _SUFFIX
        self._clear(parent, staging)
        if kind == stat.S_IFLNK:
            os.symlink(status.linkname, staging, dir_fd=parent)
        else:
            os.mknod(staging, kind | 0o600, os.makedev(status.devmajor, status.devminor), dir_fd=parent)
        self._attributes(parent, staging, status)
        self._place(parent, staging, name)

    def link(self, path: str, first: str) -> None:
        """Give a file that is there already a second name."""
        parent, name = self.parent(path)
        kept = os.dup(parent)
        try:
            source, source_name = self.parent(first)
            staging = name + _SUFFIX
            self._clear(kept, staging)
            os.link(source_name, staging, src_dir_fd=source, dst_dir_fd=kept, follow_symlinks=False)
            self._place(kept, staging, name)
            self._clear(kept, staging)  # rename(2) does nothing between two names of one file
        finally:
            os.close(kept)

    def create(self, path: str) -> int:
        """A new file next to the place of `path`, open for writing."""
        parent, name = self.parent(path)
        self._clear(parent, name + _SUFFIX)
        return os.open(
            name + _SUFFIX, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=parent
        )

    def complete(self, path: str, status: Stat) -> None:
        """Put a file that was created into its place."""
        parent, name = self.parent(path)
        self._attributes(parent, name + _SUFFIX, status)
        self._place(parent, name + _SUFFIX, name)

    def discard(self, path: str) -> None:
        """Remove a file that was created and is not complete."""
        with contextlib.suppress(OSError):
            parent, name = self.parent(path)
            self._clear(parent, name + _SUFFIX)

    @staticmethod
    def _clear(parent: int, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)

    def _place(self, parent: int, staging: str, name: str) -> None:
        try:
            os.rename(staging, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError as error:
            self._clear(parent, staging)
            if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise ExportError(
                    f'"{name}" is a directory; the result has a file there', hint="remove it first"
                ) from error
            raise

    def _attributes(self, parent: int, name: str, status: Stat) -> None:
        mode = from_go(status.mode)
        if not stat.S_ISLNK(mode):
            os.chmod(name, stat.S_IMODE(mode), dir_fd=parent)
            if self._as_root and _CAPABILITY in status.xattrs and stat.S_ISREG(mode):
                os.setxattr(f"/proc/self/fd/{parent}/{name}", _CAPABILITY, status.xattrs[_CAPABILITY])
        os.utime(name, ns=(status.modTime, status.modTime), dir_fd=parent, follow_symlinks=False)


@attrs.define
class _Pending:
    """A file whose bytes were asked for."""

    path: str
    status: Stat
    fd: int = -1


class DirectoryReceiver:
    """One transfer into a directory.

    Args:
        root: the directory.
        requests: the packets that come.
    """

    def __init__(self, root: Path, requests: Iterator[bytes]) -> None:
        self._destination = Destination(root)
        self._requests = requests
        self._answers: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        self._pending: dict[int, _Pending] = {}
        self._links: list[tuple[str, str]] = []
        self._described = False

    def packets(self) -> Iterator[bytes]:
        """All packets to answer with; the directory is complete at their end."""
        threading.Thread(target=self._read, daemon=True, name="filesend").start()
        while True:
            answer = self._answers.get()
            if answer is None:
                return
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def _read(self) -> None:
        try:
            try:
                self._receive()
            finally:
                for pending in self._pending.values():
                    if pending.fd >= 0:
                        os.close(pending.fd)
                        self._destination.discard(pending.path)
                self._destination.close()
        except OSError as error:
            name = error.filename or self._destination
            self._answers.put(ExportError(f'cannot write "{name}": {error.strerror or error}'))
        except Exception as error:  # the call is over; whoever waits must wake up
            self._answers.put(error)
        else:
            self._answers.put(None)

    def _receive(self) -> None:
        number = 0
        for data in self._requests:
            packet = Packet.FromString(data)
            if packet.type == Packet.PACKET_STAT:
                if packet.HasField("stat"):
                    self._described_one(number, packet.stat)
                    number += 1
                else:
                    self._described = True
                    self._finish()
            elif packet.type == Packet.PACKET_DATA:
                self._data(packet)
            elif packet.type == Packet.PACKET_ERR:
                raise Refused("ABORTED", f"error from sender: {packet.data.decode(errors='replace')}")
            elif packet.type == Packet.PACKET_FIN:
                return
        if self._pending or not self._described:
            raise Refused("ABORTED", "the engine ended the transfer early")

    def _described_one(self, number: int, status: Stat) -> None:
        mode = from_go(status.mode)
        if stat.S_ISDIR(mode):
            self._destination.make_directory(status.path, status)
        elif not stat.S_ISREG(mode):
            self._destination.make_special(status.path, status)
        elif status.linkname:
            self._links.append((status.path, status.linkname))  # made when the file that it names is complete
        else:
            self._destination.parent(status.path)  # refuses a path before anything is asked for
            self._pending[number] = _Pending(status.path, status)
            self._answers.put(Packet(type=Packet.PACKET_REQ, ID=number).SerializeToString())

    def _data(self, packet: Packet) -> None:
        pending = self._pending.get(packet.ID)
        if pending is None:
            raise Refused("INVALID_ARGUMENT", f"data of a file that was not asked for: {packet.ID}")
        if pending.fd < 0:
            pending.fd = self._destination.create(pending.path)
        if packet.data:
            view = memoryview(packet.data)
            while view:
                view = view[os.write(pending.fd, view) :]
            return
        del self._pending[packet.ID]
        os.close(pending.fd)
        self._destination.complete(pending.path, pending.status)
        self._finish()

    def _finish(self) -> None:
        """Once everything was described and has arrived, say so."""
        if self._pending or not self._described:
            return
        for path, first in self._links:
            self._destination.link(path, first)
        self._links.clear()
        self._answers.put(Packet(type=Packet.PACKET_FIN).SerializeToString())
