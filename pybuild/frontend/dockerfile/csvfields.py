"""One line of comma-separated values: the fields of `--mount` and `--device`."""

from __future__ import annotations


def fields(line: str) -> list[str]:
    """The fields of a line; one in double quotes may contain commas, and `""` for a quote.

    Raises:
        ValueError: with the message of Go's encoding/csv.

    Example:
        >>> fields('type=bind,"source=a,b"')
        ['type=bind', 'source=a,b']
    """
    line = line[: -2 if line.endswith("\r\n") else -1] if line.endswith("\n") else line
    if not line:
        raise ValueError("EOF")
    found: list[str] = []
    at = 0
    while True:
        if line[at : at + 1] != '"':
            end = line.find(",", at)
            field = line[at:] if end < 0 else line[at:end]
            if '"' in field:
                raise _error(line, at + field.index('"'), 'bare " in non-quoted-field')
            found.append(field)
        else:
            field, end = _quoted(line, at + 1)
            found.append(field)
        if end < 0:
            return found
        at = end + 1


def _quoted(line: str, start: int) -> tuple[str, int]:
    """The quoted field whose text begins at `start`, and where the comma behind it is (-1: there is none)."""
    parts: list[str] = []
    at = start
    while True:
        end = line.find('"', at)
        if end < 0:
            raise _error(line, at, 'extraneous or missing " in quoted-field')
        parts.append(line[at:end])
        following = line[end + 1 : end + 2]
        if following == '"':
            parts.append('"')
            at = end + 2
        elif following == ",":
            return "".join(parts), end + 1
        elif not following:
            return "".join(parts), -1
        else:
            raise _error(line, end, 'extraneous or missing " in quoted-field')


def _error(line: str, at: int, problem: str) -> ValueError:
    column = len(line[:at].encode("utf-8", "surrogateescape")) + 1
    return ValueError(f"parse error on line 1, column {column}: {problem}")
