"""Sizes and time spans as people write them: `500MB`, `10GiB`, `24h`, `1h30m`; and as they are printed."""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def parse_size(text: str) -> int:
    """Bytes from text such as `500MB`, `10GiB` or `1024`: decimal units, and binary ones with an `i`.

    Raises:
        ValueError: it is none.

    Example:
        >>> parse_size("1.5kB"), parse_size("1KiB"), parse_size("7")
        (1500, 1024, 7)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if match is None:
        raise ValueError(f'"{text}" is not a size')
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** (" kmgt".index(match[2]) if match[2] else 0))


def parse_duration(text: str) -> float:
    """Seconds from text such as `24h`, `90m` or `1h30m`; days are `d`.

    Raises:
        ValueError: it is none.

    Example:
        >>> parse_duration("1h30m"), parse_duration("45s")
        (5400.0, 45.0)
    """
    if not re.fullmatch(r"(?:\d+(?:\.\d+)?[dhms])+", text):
        raise ValueError(f'"{text}" is not a time span')
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(r"([\d.]+)([dhms])", text))


def size_text(count: float) -> str:
    """Bytes for people, in decimal units as docker prints them.

    Example:
        >>> size_text(0), size_text(1500), size_text(12_345_678)
        ('0B', '1.5kB', '12.35MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g}{unit}"
        count /= 1000
    return f"{count:.4g}TB"


def duration_text(seconds: float) -> str:
    """A time span for people: its two largest units, of which the second only when it is not 0.

    Example:
        >>> duration_text(172800), duration_text(5400), duration_text(0.4)
        ('2d', '1h30m', '0s')
    """
    rest = int(seconds)
    parts: list[str] = []
    for unit, length in _SECONDS.items():
        count, rest = divmod(rest, int(length))
        if count:
            parts.append(f"{count}{unit}")
        if len(parts) == 2 or (parts and not count):
            break
    return "".join(parts) or "0s"


def ago_text(seconds: float) -> str:
    """How long ago something was, with one word for the unit.

    Example:
        >>> ago_text(7300), ago_text(60), ago_text(0.2), ago_text(86400 * 3)
        ('2 hours ago', '1 minute ago', 'now', '3 days ago')
    """
    for name, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count = int(seconds // length)
        if count > 0:
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "now"
