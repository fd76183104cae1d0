"""Applies a layer archive to a snapshot: the OCI image specification's changeset, unpacked through `TreeWriter`.

Every path is resolved inside the tree that the layers make together, so neither `..` nor any link, in this layer or
in one below, leads outside; nothing is written through a link. Whiteouts become what the snapshotter uses. Mirrors
containerd's archive/tar.go.
"""

from __future__ import annotations

import hashlib
import os
import stat as statmod
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

import attrs

from pybuild.digest import Digest
from pybuild.errors import NotFound, StoreError, UnsafeArchive
from pybuild.store.attributes import Attributes, apply_attributes
from pybuild.store.compression import decompressed, reporting_damage
from pybuild.store.tarread import Member, TarReader, reporting_names
from pybuild.store.treewriter import TreeWriter, Whiteouts
from pybuild.values import Value

WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
_RESERVED: Final = ".wh..wh."
_SMALL: Final = 1 << 20
_KEPT_XATTRS: Final = ("security.", "user.", "trusted.")
_OVERLAY_XATTRS: Final = ("trusted.overlay.", "user.overlay.")


@attrs.frozen(kw_only=True)
class Limits(Value):
    """How much an archive may hold before it is refused: members, plain bytes, and plain bytes per stored byte."""

    entries: int = 5_000_000
    size: int = 1 << 40
    ratio: int = 2_000
    free_size: int = 1 << 30
    """Plain bytes from which on the ratio counts: small archives of zeros are harmless."""


@attrs.frozen(kw_only=True)
class Applied(Value):
    """What was applied: the digest of the plain archive, the bytes of its files, and how many members it had."""

    diff_id: Digest
    size: int
    entries: int


def apply_layer(
    stream: BinaryIO,
    upper: Path | str,
    *,
    lowers: Sequence[Path] = (),
    whiteouts: Whiteouts = "overlay",
    limits: Limits | None = None,
) -> Applied:
    """Unpack one layer.

    Args:
        stream: the archive, compressed or not; it must be able to seek.
        upper: the directory of the active snapshot that takes the changes.
        lowers: the layers below it, topmost first; none for a snapshotter that keeps whole trees in `upper`.
        whiteouts: how removals are recorded there.
        limits: what an archive may hold.

    Raises:
        UnsafeArchive: it is damaged, unknown, too large, or a hard link in it leads to nothing.
    """
    with reporting_damage("layer"), decompressed(stream) as plain:
        hashed = _Hashed(plain, limits or Limits(), stream)
        application = _Application(TreeWriter(lowers, upper, whiteouts=whiteouts))
        reader = TarReader(cast("BinaryIO", hashed))
        for member in reader:
            hashed.count_entry()
            with reporting_names(member.name):
                application.add(member, reader)
        hashed.finish()
        application.finish()
    return Applied(diff_id=hashed.digest, size=application.size, entries=hashed.entries)


class _Hashed:
    """A reader that hashes what passes, and counts it against the limits."""

    def __init__(self, plain: BinaryIO, limits: Limits, compressed: BinaryIO) -> None:
        self.limits = limits
        self._plain = plain
        self._compressed = compressed
        self._hash = hashlib.sha256()
        self._count = 0
        self.entries = 0
        self._buffer = memoryview(b"")

    def count_entry(self) -> None:
        self.entries += 1
        if self.entries > self.limits.entries:
            raise UnsafeArchive(f"the layer has more than {self.limits.entries} entries")

    def read(self, count: int) -> bytes:
        buffer = self._buffer
        if len(buffer) >= count:
            self._buffer = buffer[count:]
            return bytes(buffer[:count])
        parts = [bytes(buffer)]
        missing = count - len(buffer)
        self._buffer = memoryview(b"")
        while missing > 0:
            data = self._fill()
            if not data:
                break
            parts.append(data[:missing])
            if len(data) > missing:
                self._buffer = memoryview(data)[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def _fill(self) -> bytes:
        data = self._plain.read(_SMALL)
        self._hash.update(data)
        self._count += len(data)
        if self._count > self.limits.size:
            raise UnsafeArchive(f"the layer is larger than {self.limits.size} bytes")
        if self._count > self.limits.free_size and self._count > self.limits.ratio * self._compressed.tell():
            raise UnsafeArchive(f"the layer unpacks to more than {self.limits.ratio} times its size")
        return data

    def finish(self) -> None:
        """Read what follows the archive: it is part of the digest."""
        while self._fill():
            pass

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self._hash.hexdigest()}")


class _Application:
    """One layer on its way into a tree."""

    def __init__(self, writer: TreeWriter) -> None:
        self._writer = writer
        self._parents: dict[str, str] = {}
        self._unpacked: set[str] = set()
        self._directories: set[str] = set()  # that were made on the way
        self._times: dict[str, int] = {}
        self.size = 0

    def add(self, member: Member, reader: TarReader) -> None:
        """Apply one member."""
        name = os.path.normpath("/" + member.name)
        directory, base = os.path.split(name.replace("//", "/", 1))
        if not base:
            self._root(member)
            return
        if base.startswith(_RESERVED) and base != OPAQUE:
            return  # aufs's own bookkeeping in old images
        parent = self._parent(directory)
        if base == OPAQUE:
            self._hide_lower(parent)
        elif base.startswith(WHITEOUT):
            self._white_out(_join(parent, base.removeprefix(WHITEOUT)))
        else:
            self._create(_join(parent, base), member, reader)

    def finish(self) -> None:
        """Set the times of directories, which everything put into them has changed."""
        for path, mtime_ns in sorted(self._times.items(), reverse=True):
            try:
                self._writer.set_mtime(path, mtime_ns)
            except StoreError:
                continue  # removed or replaced by a later member

    def _root(self, member: Member) -> None:
        if member.kind == statmod.S_IFDIR:
            apply_attributes(self._writer.upper, _attributes(member))
            self._times["/"] = member.mtime_ns

    def _parent(self, directory: str) -> str:
        """The directory with all links resolved, made when it is missing."""
        found = self._parents.get(directory)
        if found is None:
            found = self._writer.view.resolve(directory)
            self._make_directories(found)
            self._parents[directory] = found
        return found

    def _make_directories(self, path: str) -> None:
        missing: list[str] = []
        while path != "/" and ((entry := self._writer.view.lookup(path, follow=False)) is None or not entry.is_dir):
            missing.append(path)
            path = os.path.dirname(path)
        for made in reversed(missing):
            self._clear(made)
            self._writer.mkdir(made, Attributes(0o755))
            self._directories.add(made)

    def _hide_lower(self, path: str) -> None:
        writer = self._writer
        if writer.whiteouts == "native":
            for child in writer.view.listdir(path):
                if (below := _join(path, child)) not in self._unpacked:
                    writer.remove(below)
            return
        writer.make_opaque(path)

    def _white_out(self, path: str) -> None:
        if path in self._unpacked or path.endswith(("/.", "/..", "/")):
            return
        if self._writer.view.lookup(path, follow=False) is not None:
            self._writer.remove(path)
            self._parents.clear()

    def _create(self, path: str, member: Member, reader: TarReader) -> None:
        writer = self._writer
        attributes = _attributes(member)
        new = self._is_new(path)
        self._unpacked.add(path)
        match member.kind:
            case statmod.S_IFDIR:
                self._directory(path, attributes, new=new)
                return
            case statmod.S_IFREG:
                if not new:
                    self._remove_directory(path)
                self.size += member.size
                content = reader.read() if member.size <= _SMALL else cast("BinaryIO", reader)
                writer.write_file(path, content, attributes)
            case statmod.S_IFLNK:
                if not new:
                    self._remove_directory(path)
                    self._parents.clear()
                writer.symlink(path, member.link, attributes)
            case 0:
                self._hard_link(path, member.link)
            case kind:
                self._remove_directory(path)
                # A character device 0:0 is how overlayfs says "removed": an archive cannot be allowed to.
                if kind == statmod.S_IFCHR and member.device == 0:
                    raise UnsafeArchive(f'"{path}": a character device 0:0 in a layer')
                try:
                    writer.mknod(path, kind, member.device, attributes)
                except PermissionError:
                    # A user namespace cannot make devices, and the runtime brings those that steps need.
                    self._unpacked.discard(path)

    def _is_new(self, path: str) -> bool:
        """Whether surely nothing is at `path`, known without looking."""
        known = path in self._unpacked or path in self._directories
        return not known and self._writer.parent_is_fresh(path)

    def _directory(self, path: str, attributes: Attributes, *, new: bool) -> None:
        writer = self._writer
        entry = None if new else writer.view.lookup(path, follow=False)
        if entry is not None and not entry.is_dir:
            self._clear(path)
            entry = None
        if entry is None:
            writer.mkdir(path, attributes)
        else:
            writer.set_attributes(path, attributes)
        if attributes.mtime_ns is not None:
            self._times[path] = attributes.mtime_ns

    def _hard_link(self, path: str, link: str) -> None:
        writer = self._writer
        directory, base = os.path.split(os.path.normpath("/" + link).replace("//", "/", 1))
        existing = _join(writer.view.resolve(directory), base)
        entry = writer.view.lookup(existing, follow=False) if base else None
        if entry is None or entry.is_dir:
            raise UnsafeArchive(f'"{path}": hard link to "{link}", which is {"a directory" if entry else "not there"}')
        if existing == path:
            return
        self._remove_directory(path)
        writer.link(path, existing)

    def _remove_directory(self, path: str) -> None:
        """A file takes the place of a directory; a file in the way is replaced by the writer itself."""
        entry = self._writer.view.lookup(path, follow=False)
        if entry is not None and entry.is_dir:
            self._clear(path)

    def _clear(self, path: str) -> None:
        try:
            self._writer.remove(path)
        except NotFound:
            return
        self._parents.clear()


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory != "/" else f"/{name}"


def _attributes(member: Member) -> Attributes:
    xattrs = member.xattrs and tuple(
        (name, value)
        for name, value in member.xattrs
        if name.startswith(_KEPT_XATTRS) and not name.startswith(_OVERLAY_XATTRS)
    )
    return Attributes(member.mode, member.uid, member.gid, member.mtime_ns, xattrs)
