"""Checks of plain values that users pass: names of variables, permission bits, numbers."""

from __future__ import annotations

from pybuild.errors import ArgumentError

_MODE_LIMIT = 0o7777


def check_variable(name: str, what: str) -> None:
    """Raise ArgumentError unless `name` can be the name of an environment variable."""
    if not name or "=" in name or "\0" in name:
        raise ArgumentError(f'{what} "{name}" cannot be the name of an environment variable')


def permission_bits(mode: int, what: str) -> int:
    """`mode` itself. Raises ArgumentError unless it is within 0 to 0o7777."""
    if not 0 <= mode <= _MODE_LIMIT:
        raise ArgumentError(f"{what} must be permission bits such as 0o644, got {mode}")
    return mode


def not_negative(value: int, what: str) -> int:
    """`value` itself. Raises ArgumentError when it is below 0."""
    if value < 0:
        raise ArgumentError(f"{what} must not be negative, got {value}")
    return value
