"""Unpacks an archive that a copy action found among its sources (`ADD archive.tar.gz /dir`).

Mirrors moby/go-archive's Unpack inside a chroot: the destination directory is the root for links and `..`, a file
replaces what is in its way, directories merge. Members are only ever written through `TreeWriter`.
"""

from __future__ import annotations

import io
import stat as statmod
import tarfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Final, cast

from pybuild.errors import UnsafeArchive
from pybuild.solver.fileactions import IDs, make_directories
from pybuild.store.attributes import CAPABILITY, Attributes
from pybuild.store.treewriter import TreeWriter

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_XATTR: Final = f"SCHILY.xattr.{CAPABILITY}"
_DEVICES: Final = {
    tarfile.CHRTYPE: statmod.S_IFCHR,
    tarfile.BLKTYPE: statmod.S_IFBLK,
    tarfile.FIFOTYPE: statmod.S_IFIFO,
}


def is_archive(real: str) -> bool:
    """Whether the file is a tar archive with at least one member, plain or compressed."""
    try:
        with _open(real) as archive:
            return archive.next() is not None
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError):
        return False


def unpack(writer: TreeWriter, real: str, target: str, owner: IDs | None) -> None:
    """Unpack an archive.

    Args:
        writer: where to.
        real: the archive on disk.
        target: the directory that takes the members; resolved, and there.
        owner: whom everything shall belong to; by default whom the archive says.

    Raises:
        UnsafeArchive: the archive is damaged, or a member's hard link leads out of `target`.
    """
    extraction = _Extraction(writer, target, owner)
    try:
        with _open(real) as archive:
            for member in archive:
                extraction.add(archive, member)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UnsafeArchive(f"the archive is damaged: {error}") from error
    extraction.finish()


@contextmanager
def _open(real: str) -> Generator[tarfile.TarFile]:
    with open(real, "rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic != _ZSTD_MAGIC:
            with tarfile.open(fileobj=file, mode="r|*", errors="surrogateescape") as archive:
                yield archive
            return
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain:
            # The reader is a file in all but its type: tarfile only calls read().
            stream = cast("IO[bytes]", plain)
            with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape") as archive:
                yield archive


class _Extraction:
    """One archive on its way into a directory."""

    def __init__(self, writer: TreeWriter, target: str, owner: IDs | None) -> None:
        self._writer = writer
        self._target = target
        self._owner = owner
        self._times: dict[str, int] = {}

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Create one member."""
        writer = self._writer
        parent, name = self._place(member.name)
        if not name:
            return  # the archive's own "./": the destination keeps its mode, owner and time
        make_directories(writer, parent, 0o755, self._owner, None)
        path = f"{parent.rstrip('/')}/{name}"
        existing = writer.view.lookup(path, follow=False)
        attributes = self._attributes(member)
        if member.isdir():
            if existing is not None and existing.is_dir:
                writer.set_attributes(path, attributes)
            else:
                self._remove(path, present=existing is not None)
                writer.mkdir(path, attributes)
            self._times[path] = attributes.mtime_ns or 0
            return
        if member.islnk():
            self._link(path, member)
            return
        self._remove(path, present=existing is not None)
        if member.issym():
            writer.symlink(path, member.linkname, attributes)
        elif member.isreg():
            content = archive.extractfile(member)
            writer.write_file(path, cast("io.BufferedReader", content), attributes)
        elif member.type in _DEVICES:
            device = _device(member)
            writer.mknod(path, _DEVICES[member.type], device, attributes)

    def finish(self) -> None:
        """Give directories the archive's times, now that nothing is put into them any more."""
        for path, mtime_ns in self._times.items():
            entry = self._writer.view.lookup(path, follow=False)
            if entry is not None and entry.is_dir:
                self._writer.set_mtime(path, mtime_ns)

    def _place(self, name: str) -> tuple[str, str]:
        """The resolved directory for a member, and the name in it; links and `..` stay inside the destination."""
        parts: list[str] = []
        for part in name.split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in {"", "."}:
                parts.append(part)
        last = parts.pop() if parts else ""
        return self._writer.view.resolve("/".join(parts), within=self._target), last

    def _remove(self, path: str, *, present: bool) -> None:
        if present:
            self._writer.remove(path)

    def _link(self, path: str, member: tarfile.TarInfo) -> None:
        parent, name = self._place(member.linkname)
        existing = f"{parent.rstrip('/')}/{name}"
        entry = self._writer.view.lookup(existing, follow=False)
        if entry is None or entry.is_dir:
            raise UnsafeArchive(f'"{member.name}": no file "{member.linkname}" to be linked to')
        if existing != path:
            self._remove(path, present=self._writer.view.lookup(path, follow=False) is not None)
            self._writer.link(path, existing)

    def _attributes(self, member: tarfile.TarInfo) -> Attributes:
        uid, gid = self._owner or (member.uid, member.gid)
        capability = member.pax_headers.get(_XATTR)
        xattrs = ((CAPABILITY, capability.encode("utf-8", "surrogateescape")),) if capability else ()
        return Attributes(member.mode & 0o7777, uid, gid, round(member.mtime * 1_000_000_000), xattrs)


def _device(member: tarfile.TarInfo) -> int:
    import os

    return 0 if member.type == tarfile.FIFOTYPE else os.makedev(member.devmajor, member.devminor)
