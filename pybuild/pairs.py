"""Values of flags as Docker's command line has them: `key=value,...`, one line of CSV.

Mirrors what buildx's util/buildflags does for `--output`, `--cache-to` and `--attest`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence


def fields_of(text: str) -> list[str]:
    """The fields of a value; one with a comma in it stands in double quotes.

    Example:
        >>> fields_of('type=local,"dest=a,b"')
        ['type=local', 'dest=a,b']
    """
    return next(csv.reader([text]), list[str]())


def pairs_of(fields: Sequence[str], complaint: Callable[[str], Exception]) -> dict[str, str]:
    """Fields as a mapping; keys are lower case.

    Args:
        fields: each of the form `key=value`.
        complaint: makes the error of a field that is not; its argument says what is wrong.

    Example:
        >>> pairs_of(["Type=local", "dest="], ValueError)
        {'type': 'local', 'dest': ''}
    """
    found: dict[str, str] = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise complaint(f'"{field}" must be a key=value pair')
        found[name.strip().lower()] = value
    return found
