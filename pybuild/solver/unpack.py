"""Unpacks an archive that a copy action found among its sources (`ADD archive.tar.gz /dir`).

Mirrors moby/go-archive's Unpack inside a chroot: the destination directory is the root for links and `..`, a file
replaces what is in its way, directories merge. Members are only ever written through `TreeWriter`.
"""

from __future__ import annotations

import contextlib
import stat as statmod
from typing import BinaryIO, Final, cast

from pybuild.errors import UnsafeArchive
from pybuild.solver.fileactions import IDs, make_directories
from pybuild.store.attributes import CAPABILITY, Attributes
from pybuild.store.compression import decompressed, reporting_damage
from pybuild.store.tarread import Member, TarReader, reporting_names
from pybuild.store.treewriter import TreeWriter

_SMALL: Final = 1 << 20


def is_archive(real: str) -> bool:
    """Whether the file is a tar archive with at least one member, plain or compressed."""
    try:
        with open(real, "rb") as file, reporting_damage("file"), decompressed(file) as plain:
            return next(iter(TarReader(plain)), None) is not None
    except UnsafeArchive:
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
    with open(real, "rb") as file, reporting_damage("archive"), decompressed(file) as plain:
        reader = TarReader(plain)
        for member in reader:
            with reporting_names(member.name):
                extraction.add(reader, member)
    extraction.finish()


class _Extraction:
    """One archive on its way into a directory."""

    def __init__(self, writer: TreeWriter, target: str, owner: IDs | None) -> None:
        self._writer = writer
        self._target = target
        self._owner = owner
        self._times: dict[str, int] = {}

    def add(self, reader: TarReader, member: Member) -> None:
        """Create one member."""
        writer = self._writer
        parent, name = self._place(member.name)
        if not name:
            return  # the archive's own "./": the destination keeps its mode, owner and time
        make_directories(writer, parent, 0o755, self._owner, None)
        path = f"{parent.rstrip('/')}/{name}"
        existing = writer.view.lookup(path, follow=False)
        attributes = self._attributes(member)
        match member.kind:
            case statmod.S_IFDIR:
                if existing is not None and existing.is_dir:
                    writer.set_attributes(path, attributes)
                else:
                    self._remove(path, present=existing is not None)
                    writer.mkdir(path, attributes)
                self._times[path] = member.mtime_ns
            case 0:
                self._link(path, member)
            case statmod.S_IFREG:
                self._remove(path, present=existing is not None)
                content = reader.read() if member.size <= _SMALL else cast("BinaryIO", reader)
                writer.write_file(path, content, attributes)
            case statmod.S_IFLNK:
                self._remove(path, present=existing is not None)
                writer.symlink(path, member.link, attributes)
            case kind:
                if kind == statmod.S_IFCHR and member.device == 0:
                    raise UnsafeArchive(
                        f'"{member.name}" is a character device 0:0, which means "removed" to overlayfs'
                    )
                self._remove(path, present=existing is not None)
                with contextlib.suppress(PermissionError):  # devices cannot be made in a user namespace
                    writer.mknod(path, kind, member.device, attributes)

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

    def _link(self, path: str, member: Member) -> None:
        parent, name = self._place(member.link)
        existing = f"{parent.rstrip('/')}/{name}"
        entry = self._writer.view.lookup(existing, follow=False)
        if entry is None or entry.is_dir:
            raise UnsafeArchive(f'"{member.name}": no file "{member.link}" to be linked to')
        if existing != path:
            self._remove(path, present=self._writer.view.lookup(path, follow=False) is not None)
            self._writer.link(path, existing)

    def _attributes(self, member: Member) -> Attributes:
        uid, gid = self._owner or (member.uid, member.gid)
        xattrs = tuple(pair for pair in member.xattrs if pair[0] == CAPABILITY)
        return Attributes(member.mode, uid, gid, member.mtime_ns, xattrs)
