"""JSON documents, taken apart with checks: what enters as `object` leaves as the type that the format promises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast


def load_object(data: bytes | str) -> Mapping[str, object]:
    """Parse a document that must be an object.

    Raises:
        ValueError: it is no JSON.
        TypeError: it is something else than an object.
    """
    return as_object(json.loads(data))


def as_object(value: object) -> Mapping[str, object]:
    """An object; null stands for an empty one. Raises TypeError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {value!r}")
    return cast("Mapping[str, object]", value)


def as_list(value: object) -> Sequence[object]:
    """A list; null stands for an empty one. Raises TypeError."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}")
    return cast("Sequence[object]", value)


def as_strings(value: object) -> tuple[str, ...]:
    """A list of texts. Raises TypeError."""
    return tuple(str(item) for item in as_list(value))


def as_names(value: object) -> tuple[str, ...]:
    """The names of an object's members, or a list of texts, sorted. Raises TypeError."""
    try:
        return tuple(sorted(as_object(value)))
    except TypeError:
        return tuple(sorted(as_strings(value)))


def as_pairs(value: object) -> tuple[tuple[str, str], ...]:
    """An object of texts, sorted. Raises TypeError."""
    return tuple(sorted((name, str(item)) for name, item in as_object(value).items()))
