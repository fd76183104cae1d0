"""Quantities as people write them: sizes such as `128m`, durations such as `1m30s`."""

from __future__ import annotations

import re

from pybuild.errors import ArgumentError

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|ms|s|m|h|d)")


def size_in_bytes(value: int | str, what: str) -> int:
    """A size in bytes; text takes the suffixes k, m, g and t, which count in 1024s as in Docker.

    Raises:
        ArgumentError: negative or not a size.

    Example:
        >>> size_in_bytes("128m", "size")
        134217728
    """
    if isinstance(value, int):
        if value < 0:
            raise ArgumentError(f"{what} must not be negative, got {value}")
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ArgumentError(f'{what} "{value}" is not a size', hint='write bytes, or text such as "128m" or "2g"')
    return int(found[1]) * _UNITS[found[2].lower()]


def seconds(value: float | str, what: str) -> float:
    """A duration in seconds; text as in Go: `300ms`, `1m30s`; `d` is a day.

    Raises:
        ArgumentError: negative or not a duration.

    Example:
        >>> seconds("1m30s", "interval"), seconds(2, "interval")
        (90.0, 2.0)
    """
    if isinstance(value, str):
        parts = _DURATION_PART.findall(value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            raise ArgumentError(f'{what} "{value}" is not a duration', hint='write seconds, or text such as "1m30s"')
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if value < 0:
        raise ArgumentError(f"{what} must not be negative, got {value}")
    return float(value)
