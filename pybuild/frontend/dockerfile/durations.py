"""Durations and sizes as Go programs take them: `1h30m`, `1.5s`; `128m`, `1GiB`."""

from __future__ import annotations

import re

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LARGEST = 1 << 63
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration.

    Raises:
        ValueError: with the message of Go's `time.ParseDuration`.

    Example:
        >>> parse_duration("1m1.5s")
        61500000000
    """
    invalid = ValueError(f"time: invalid duration {_quote(text)}")
    negative = text.startswith("-")
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    if not rest:
        raise invalid
    total = 0
    while rest:
        match = _PART.match(rest)
        assert match is not None
        whole, fraction, unit = match[1], (match[2] or "")[1:], match[3]
        if not whole and not fraction:
            raise invalid
        rest = rest[match.end() :]
        total += _part(text, whole, fraction, unit, invalid)
        if total > _LARGEST:
            raise invalid
    if total == _LARGEST and not negative:
        raise invalid
    return -total if negative else total


def _part(text: str, whole: str, fraction: str, unit: str, invalid: ValueError) -> int:
    if len(whole.lstrip("0")) > 19:
        raise invalid
    number = int(whole or "0")
    if number > _LARGEST:
        raise invalid
    if not unit:
        raise ValueError(f"time: missing unit in duration {_quote(text)}")
    if unit not in _UNITS:
        raise ValueError(f"time: unknown unit {_quote(unit)} in duration {_quote(text)}")
    size = _UNITS[unit]
    if number > _LARGEST // size:
        raise invalid
    number *= size
    digits = fraction[:18]
    if digits:
        number += int(int(digits) * (size / 10.0 ** len(digits)))
    if number > _LARGEST:
        raise invalid
    return number


def parse_size(text: str) -> int:
    """Bytes of a size with a binary suffix.

    Raises:
        ValueError: it is none.

    Example:
        >>> parse_size("1.5k"), parse_size("2 GiB"), parse_size("10b")
        (1536, 2147483648, 10)
    """
    last = max((text.rfind(char) for char in "0123456789. "), default=-1)
    number = text[:last] if last >= 0 and text[last] == " " else text[: last + 1]
    suffix = text[last + 1 :].lower()
    if last < 0 or _FLOAT.fullmatch(number) is None:
        raise ValueError(f"invalid size: '{text}'")
    size = float(number)
    if size < 0 or size == float("inf"):
        raise ValueError(f"invalid size: '{text}'")
    if suffix not in {"", "b"}:
        if suffix[0] not in _BINARY or suffix[1:] not in {"", "b", "ib"}:
            raise ValueError(f"invalid suffix: '{suffix}'")
        size *= _BINARY[suffix[0]]
    # What the conversion gives on the usual processors when the number does not fit.
    return int(size) if size < _LARGEST else -_LARGEST


def _quote(text: str) -> str:
    """In double quotes, as Go's package time quotes: all that is not ASCII byte by byte."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').encode("utf-8", "surrogateescape")
    return "".join(('"', *(chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}" for byte in escaped), '"'))
