"""Writes tar archives as a stream: ustar headers, PAX records where ustar cannot say it. Equal input, equal bytes.

Headers are what Go's archive/tar makes of the same facts, so that other tools see nothing unusual. User and group
names are left out: only numbers have a meaning in a layer.
"""

from __future__ import annotations

import os
import stat as statmod
from typing import BinaryIO, Final

import attrs

from pybuild.store.attributes import Xattrs
from pybuild.store.compression import Writable
from pybuild.values import Value

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_MAX_OCTAL_7: Final = 0o7777777
_MAX_OCTAL_11: Final = 0o77777777777
_NAME: Final = 100
_PREFIX: Final = 155
_FLAGS: Final = {
    statmod.S_IFREG: b"0",
    statmod.S_IFLNK: b"2",
    statmod.S_IFCHR: b"3",
    statmod.S_IFBLK: b"4",
    statmod.S_IFDIR: b"5",
    statmod.S_IFIFO: b"6",
}


@attrs.frozen
class Header(Value):
    """One member. `kind` is the file type bits as in `stat`, 0 for a hard link to `link`; `mtime` in seconds."""

    name: str
    kind: int
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: str = ""
    device: int = 0
    xattrs: Xattrs = ()


class TarWriter:
    """Writes members one after the other.

    Args:
        out: takes the bytes.

    Example:
        >>> import io
        >>> out = io.BytesIO()
        >>> writer = TarWriter(out)
        >>> writer.add_bytes(Header("hello", statmod.S_IFREG, size=2), b"hi")
        >>> writer.close()
        >>> len(out.getvalue())
        2048
    """

    def __init__(self, out: Writable) -> None:
        self._out = out

    def add(self, header: Header) -> None:
        """Write a member without content."""
        self._out.write(_encode(header))

    def add_bytes(self, header: Header, content: bytes) -> None:
        """Write a regular file; `header.size` must be the length of its content."""
        assert header.size == len(content)
        self._out.write(_encode(header) + content + b"\0" * (-len(content) % _BLOCK))

    def add_file(self, header: Header, file: BinaryIO) -> None:
        """Write a regular file of `header.size` bytes.

        Raises:
            OSError: the file is shorter.
        """
        if header.size <= _CHUNK:
            content = file.read(header.size)
            if len(content) < header.size:
                raise OSError(f'"{header.name}" is shorter than it was')
            self.add_bytes(header, content)
            return
        self._out.write(_encode(header))
        left = header.size
        while left:
            data = file.read(min(left, _CHUNK))
            if not data:
                raise OSError(f'"{header.name}" is shorter than it was')
            self._out.write(data)
            left -= len(data)
        self._out.write(b"\0" * (-header.size % _BLOCK))

    def close(self) -> None:
        """Write the end of the archive."""
        self._out.write(b"\0" * 2 * _BLOCK)


def _encode(header: Header) -> bytes:
    """The header's blocks, with a block of PAX records before it when ustar cannot say everything."""
    records: dict[str, bytes] = {f"SCHILY.xattr.{name}": value for name, value in header.xattrs}
    name, link = os.fsencode(header.name), os.fsencode(header.link)
    prefix, base = _split(name)
    if not base:
        records["path"] = name
        prefix, base = b"", name[:_NAME]
    if not _fits(link, _NAME):
        records["linkpath"] = link
        link = link[:_NAME]
    uid, gid, size, mtime = header.uid, header.gid, header.size, header.mtime
    if uid > _MAX_OCTAL_7:
        records["uid"], uid = b"%d" % uid, 0
    if gid > _MAX_OCTAL_7:
        records["gid"], gid = b"%d" % gid, 0
    if size > _MAX_OCTAL_11:
        records["size"], size = b"%d" % size, 0
    if not 0 <= mtime <= _MAX_OCTAL_11:
        records["mtime"], mtime = b"%d" % mtime, 0
    flag = _FLAGS[header.kind] if header.kind else b"1"
    block = _block(base, header.mode, uid, gid, size, mtime, flag, link, header.device, prefix)
    if not records:
        return block
    return _extended(name, records) + block


def _extended(name: bytes, records: dict[str, bytes]) -> bytes:
    data = b"".join(_record(os.fsencode(key), value) for key, value in sorted(records.items()))
    directory, _, base = name.rstrip(b"/").rpartition(b"/")
    place = (directory + b"/" if directory else b"") + b"PaxHeaders.0/" + base
    short = _ascii(place)[:_NAME].rstrip(b"/")
    return _block(short, 0, 0, 0, len(data), 0, b"x", b"", 0, b"") + data + b"\0" * (-len(data) % _BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) + len(rest) != length:
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _block(
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    flag: bytes,
    link: bytes,
    device: int,
    prefix: bytes,
) -> bytes:
    parts = [
        _ascii(name).ljust(100, b"\0"),
        b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode & 0o7777, uid, gid, size, mtime),
        b" " * 8,
        flag,
        _ascii(link).ljust(100, b"\0"),
        b"ustar\x0000",
        b"\0" * 64,
        b"%07o\0%07o\0" % (os.major(device), os.minor(device)),
        prefix.ljust(_PREFIX, b"\0"),
        b"\0" * 12,
    ]
    block = b"".join(parts)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Prefix and name for ustar; an empty name when it does not fit."""
    if _fits(name, _NAME):
        return b"", name
    if not name.isascii() or len(name) > _NAME + _PREFIX + 1:
        return b"", b""
    cut = name[: _PREFIX + 1].rfind(b"/", 0, len(name) - 1)
    if cut <= 0 or len(name) - cut - 1 > _NAME:
        return b"", b""
    return name[:cut], name[cut + 1 :]


def _fits(text: bytes, limit: int) -> bool:
    return len(text) <= limit and text.isascii()


def _ascii(text: bytes) -> bytes:
    return text if text.isascii() else bytes(byte if byte < 0x80 else 0x3F for byte in text)
