"""Reads tar archives as a stream: ustar, PAX and GNU headers, one small value per member.

The standard library's tarfile spends most of its time on objects that layers do not need; unpacking a base image of
ten thousand files takes half as long this way. POSIX.1-2001 pax format; GNU tar's long names.
"""

from __future__ import annotations

import errno
import os
import stat as statmod
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, NamedTuple

from pybuild.errors import UnsafeArchive

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_MAX_HEADER: Final = 1 << 20
_NANOSECONDS: Final = 1_000_000_000
_XATTR: Final = "SCHILY.xattr."
_MAX_SIZE: Final = (1 << 63) - 1
_MAX_ID: Final = (1 << 32) - 2
"""The last one means "leave it" to chown(2)."""
_MAX_DIGITS: Final = 20
_BAD_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})
_SHOWN: Final = 100
_KINDS: Final = {
    b"0": statmod.S_IFREG,
    b"\0": statmod.S_IFREG,
    b"7": statmod.S_IFREG,
    b"2": statmod.S_IFLNK,
    b"3": statmod.S_IFCHR,
    b"4": statmod.S_IFBLK,
    b"5": statmod.S_IFDIR,
    b"6": statmod.S_IFIFO,
}


class Member(NamedTuple):
    """One entry of an archive.

    `kind` is the file type bits as in `stat`, 0 for a hard link to `link`. `mtime_ns` in nanoseconds since the epoch,
    `size` of the content in bytes, `device` as `os.makedev` gives it.
    """

    name: str
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: str
    device: int
    xattrs: tuple[tuple[str, bytes], ...]


class TarReader:
    """Iterates over the members; between two steps, `read` gives the bytes of the current one.

    Args:
        stream: plain bytes; only read, never sought.

    Raises:
        UnsafeArchive: while iterating, when the archive is damaged or uses something unknown.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0
        self._padding = 0
        self._defaults: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[Member]:
        extended: dict[str, bytes] = {}
        while True:
            self._skip_rest()
            block = self._stream.read(_BLOCK)
            if not block:
                return  # no end marker, as some tools write it
            if len(block) < _BLOCK:
                block += self._exactly(_BLOCK - len(block))
            if block.count(0) == _BLOCK:
                self._drain()
                return
            _check_sum(block)
            size = _number(block[124:136])
            match block[156:157]:
                case b"x":
                    extended.update(_pax(self._header_data(size)))
                case b"g":
                    self._defaults.update(_pax(self._header_data(size)))
                case b"L":
                    extended.setdefault("path", _text(self._header_data(size)))
                case b"K":
                    extended.setdefault("linkpath", _text(self._header_data(size)))
                case flag:
                    member = _member(block, flag, size, {**self._defaults, **extended} if self._defaults else extended)
                    extended = {}
                    self._left = member.size
                    self._padding = -member.size % _BLOCK
                    yield member

    def read(self, count: int = -1) -> bytes:
        """At most `count` bytes of the current member; all that is left by default."""
        wanted = self._left if count < 0 else min(count, self._left)
        if not wanted:
            return b""
        data = self._exactly(wanted) if wanted <= _CHUNK else self._some(wanted)
        self._left -= len(data)
        return data

    def _some(self, wanted: int) -> bytes:
        data = self._stream.read(min(wanted, _CHUNK))
        if not data:
            raise UnsafeArchive("the archive ends in the middle of a file")
        return data

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) == count:
            return data
        parts = [data]
        missing = count - len(data)
        while missing:
            part = self._stream.read(missing)
            if not part:
                raise UnsafeArchive("the archive ends too early")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _skip_rest(self) -> None:
        left = self._left + self._padding
        self._left = self._padding = 0
        while left:
            left -= len(self._exactly(min(left, _CHUNK)))

    def _drain(self) -> None:
        """Read to the end of the stream: its digest covers what follows the archive too."""
        while self._stream.read(_CHUNK):
            pass

    def _header_data(self, size: int) -> bytes:
        if size > _MAX_HEADER:
            raise UnsafeArchive(f"a header of {size} bytes")
        data = self._exactly(size)
        self._padding = -size % _BLOCK
        self._skip_rest()
        return data


@contextmanager
def reporting_names(name: str) -> Generator[None]:
    """Turn the file system's refusal of a member's name into an error about the archive.

    Args:
        name: of the member.

    Raises:
        UnsafeArchive: instead of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _BAD_NAME:
            raise
        shown = name if len(name) < _SHOWN else f"{name[:_SHOWN]}..."
        raise UnsafeArchive(f'"{shown}": {os.strerror(error.errno).lower()}') from None


def _member(block: bytes, flag: bytes, size: int, extended: dict[str, bytes]) -> Member:
    kind = 0 if flag == b"1" else _KINDS.get(flag)
    if kind is None or any(key.startswith("GNU.sparse.") for key in extended):
        what = "sparse files" if kind is not None or flag == b"S" else f"members of type {flag!r}"
        raise UnsafeArchive(f"{what} are not supported in layers")
    name, link = _text(block[:100]), _text(block[157:257])
    mtime_ns = _number(block[136:148]) * _NANOSECONDS
    if block[257:263] == b"ustar\0" and block[345]:
        name = _text(block[345:500]) + b"/" + name
    uid, gid = _number(block[108:116]), _number(block[116:124])
    xattrs: tuple[tuple[str, bytes], ...] = ()
    if extended:
        name, link = extended.get("path", name), extended.get("linkpath", link)
        size, uid, gid = (_decimal(extended, key, old) for key, old in (("size", size), ("uid", uid), ("gid", gid)))
        if "mtime" in extended:
            mtime_ns = _nanoseconds(extended["mtime"])
        found = ((key.removeprefix(_XATTR), value) for key, value in extended.items() if key.startswith(_XATTR))
        xattrs = tuple(sorted(found))
    if flag in (b"0", b"\0") and name.endswith(b"/"):
        kind = statmod.S_IFDIR  # old archives
    _check_range(name, link, size, (uid, gid), mtime_ns)
    return Member(
        name=name.decode(errors="surrogateescape"),
        kind=kind,
        mode=_number(block[100:108]) & 0o7777,
        uid=uid,
        gid=gid,
        size=size if kind == statmod.S_IFREG else 0,
        mtime_ns=mtime_ns,
        link=link.decode(errors="surrogateescape"),
        device=_device(block) if flag in (b"3", b"4") else 0,
        xattrs=xattrs,
    )


def _check_range(name: bytes, link: bytes, size: int, owner: tuple[int, int], mtime_ns: int) -> None:
    """Refuse what no file system could take."""
    if b"\0" in name + link:
        raise UnsafeArchive("a name with a zero byte in it")
    if not 0 <= size <= _MAX_SIZE or not all(0 <= number <= _MAX_ID for number in owner) or abs(mtime_ns) > _MAX_SIZE:
        text = name.decode(errors="backslashreplace")
        raise UnsafeArchive(f'the size, owner or time of "{text}" is not plausible')


def _device(block: bytes) -> int:
    major, minor = _number(block[329:337]), _number(block[337:345])
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise UnsafeArchive(f"a device with the numbers {major}, {minor}")
    return os.makedev(major, minor)


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=True)
        return value & ((1 << (8 * len(field) - 1)) - 1) if field[0] != 0xFF else value
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise UnsafeArchive(f"damaged number {field!r} in a header") from None


def _decimal(extended: dict[str, bytes], key: str, default: int) -> int:
    text = extended.get(key)
    if text is None:
        return default
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise UnsafeArchive(f"damaged number {text!r} in an extended header")
    return int(text)


def _nanoseconds(text: bytes) -> int:
    """Decimal seconds, exactly: a float would lose the last digits."""
    seconds, _, fraction = text.removeprefix(b"-").partition(b".")
    digits = seconds + fraction
    if not digits.isdigit() or len(seconds) > _MAX_DIGITS:
        raise UnsafeArchive(f"damaged time {text[:40]!r} in an extended header")
    found = int(seconds or b"0") * _NANOSECONDS + int((fraction + b"0" * 9)[:9])
    return -found if text.startswith(b"-") else found


def _check_sum(block: bytes) -> None:
    stored = _number(block[148:156])
    # The low half of an Adler-32 is one more than the sum of the bytes, as long as that is less than 65,521.
    halves = zlib.adler32(block[:256]) & 0xFFFF, zlib.adler32(block[256:]) & 0xFFFF
    actual = sum(halves) - 2 - sum(block[148:156]) + 8 * 0x20
    if stored != actual:
        raise UnsafeArchive("not a tar archive, or a damaged one: a header's checksum is wrong")


def _pax(data: bytes) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    position = 0
    while position < len(data):
        digits, _, _ = data[position : position + 20].partition(b" ")
        if not digits.isdigit() or not len(digits) < int(digits) <= len(data) - position:
            raise UnsafeArchive("damaged extended header")
        key, equals, value = data[position + len(digits) + 1 : position + int(digits) - 1].partition(b"=")
        if not equals:
            raise UnsafeArchive("damaged extended header")
        records[key.decode(errors="surrogateescape")] = value
        position += int(digits)
    return records
