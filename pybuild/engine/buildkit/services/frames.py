"""HTTP/2 frames (RFC 9113, section 4): their bytes, and the bytes of theirs that are padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from struct import Struct
from typing import Final

import attrs

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first."""
FRAME_SIZE: Final = 16384
"""The payload that every peer takes."""

_HEADER: Final = Struct(">HBBBI")
_SETTING: Final = Struct(">HI")
_NUMBER: Final = Struct(">I")
_STREAM_BITS: Final = 0x7FFF_FFFF
_PRIORITY_BYTES: Final = 5


class Type(IntEnum):
    """Kinds of frames; others are to be ignored."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntEnum):
    """What bits of a frame's flags say."""

    ACK = 0x1
    END_STREAM = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Setting(IntEnum):
    """Numbers of settings."""

    HEADER_TABLE_SIZE = 1
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5


class Malformed(ValueError):
    """What came is not HTTP/2."""


@attrs.frozen
class Frame:
    """One frame: its kind, flags, stream, and payload."""

    type: int
    flags: int
    stream: int
    payload: bytes

    def has(self, flag: Flag) -> bool:
        """Whether a flag is set."""
        return bool(self.flags & flag)

    @property
    def content(self) -> bytes:
        """The payload without padding and priority. Raises Malformed."""
        data = self.payload
        if self.has(Flag.PADDED):
            if not data or data[0] >= len(data):
                raise Malformed("more padding than payload")
            data = data[1 : len(data) - data[0]]
        return data[_PRIORITY_BYTES:] if self.type == Type.HEADERS and self.has(Flag.PRIORITY) else data


class Reader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._begun = False

    def take(self, data: bytes | memoryview) -> Iterator[Frame]:
        """The frames that are complete with these bytes. Raises Malformed."""
        held = self._bytes
        held += data
        at = 0
        if not self._begun:
            if not PREFACE.startswith(held[: len(PREFACE)]):
                raise Malformed("no HTTP/2")
            if len(held) < len(PREFACE):
                return
            self._begun, at = True, len(PREFACE)
        while len(held) - at >= _HEADER.size:
            high, low, kind, flags, stream = _HEADER.unpack_from(held, at)
            length = high << 8 | low
            if length > FRAME_SIZE:
                raise Malformed(f"a frame of {length} bytes")
            end = at + _HEADER.size + length
            if end > len(held):
                break
            yield Frame(kind, flags, stream & _STREAM_BITS, bytes(held[at + _HEADER.size : end]))
            at = end
        del held[:at]


def header(kind: Type, length: int, *, flags: int = 0, stream: int = 0) -> bytes:
    """The bytes before a payload.

    Example:
        >>> header(Type.DATA, 5, flags=Flag.END_STREAM, stream=1).hex()
        '000005000100000001'
    """
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream)


def settings(values: Mapping[Setting, int]) -> bytes:
    """A frame that tells the peer what to keep to."""
    payload = b"".join(_SETTING.pack(number, value) for number, value in values.items())
    return header(Type.SETTINGS, len(payload)) + payload


def settings_of(frame: Frame) -> dict[int, int]:
    """What a peer's frame says. Raises Malformed."""
    if len(frame.payload) % _SETTING.size:
        raise Malformed("half of a setting")
    return dict(_SETTING.iter_unpack(frame.payload))


def window_update(stream: int, count: int) -> bytes:
    """A frame that lets the peer send `count` bytes more, on one stream or (0) on the connection."""
    return header(Type.WINDOW_UPDATE, _NUMBER.size, stream=stream) + _NUMBER.pack(count)


def increment_of(frame: Frame) -> int:
    """How much more a peer's window update lets us send. Raises Malformed."""
    if len(frame.payload) != _NUMBER.size:
        raise Malformed("a window update of another size")
    return int(_NUMBER.unpack(frame.payload)[0]) & _STREAM_BITS


def ack(frame: Frame) -> bytes:
    """The answer to settings, or to a ping."""
    payload = frame.payload if frame.type == Type.PING else b""
    return header(Type(frame.type), len(payload), flags=Flag.ACK) + payload


def headers(block: bytes, stream: int, size: int, *, last: bool) -> bytes:
    """Frames with a header block of any length.

    Args:
        block: as HPACK encodes it.
        stream: whose.
        size: how much the peer takes in one frame.
        last: nothing follows on this stream.
    """
    parts = [block[at : at + size] for at in range(0, len(block), size)] or [b""]
    made: list[bytes] = []
    for number, part in enumerate(parts):
        flags = Flag.END_HEADERS if number == len(parts) - 1 else 0
        if number == 0:
            made += [header(Type.HEADERS, len(part), flags=flags | (Flag.END_STREAM if last else 0), stream=stream)]
        else:
            made += [header(Type.CONTINUATION, len(part), flags=flags, stream=stream)]
        made.append(part)
    return b"".join(made)
