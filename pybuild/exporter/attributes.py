"""The attributes of an `--output` or `--cache-to`, read by name and checked: what nobody knows is an error."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Protocol

from pybuild.errors import ExportError

_TRUE = frozenset({"1", "t", "true", "yes", "on"})
_FALSE = frozenset({"0", "f", "false", "no", "off"})


class Described(Protocol):
    """What has attributes: an output, or a cache."""

    @property
    def type(self) -> str:
        """The kind of output or cache."""
        ...

    @property
    def attrs(self) -> Sequence[tuple[str, str]]:
        """Names and values."""
        ...


class Attributes:
    """Attributes of an output.

    Args:
        output: as the user gave it.
        known: names that the exporter reads; `prefix.*` stands for all that begin with `prefix.`.
    """

    def __init__(self, output: Described, known: Sequence[str]) -> None:
        self._type = output.type
        self._values = dict(output.attrs)
        self._known = known

    def done(self) -> None:
        """Check that every attribute is known.

        Raises:
            ExportError: one is not.
        """
        prefixes = tuple(name[:-1] for name in self._known if name.endswith("*"))
        for name in self._values:
            if name in self._known or (prefixes and name.startswith(prefixes)):
                continue
            near = difflib.get_close_matches(name, self._known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(self._known) or 'none'}"
            raise ExportError(f'type={self._type} has no attribute "{name}"', hint=hint)

    def text(self, name: str, default: str = "") -> str:
        """The value as text."""
        return self._values.get(name, default)

    def flag(self, name: str, *, default: bool) -> bool:
        """The value as a truth value; a name without a value is true. Raises ExportError."""
        value = self._values.get(name)
        if value is None:
            return default
        if value == "" or value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise ExportError(f'{name} must be true or false, got "{value}"')

    def number(self, name: str) -> int | None:
        """The value as a whole number, None when it is not given. Raises ExportError."""
        value = self._values.get(name)
        if value is None:
            return None
        if not value.lstrip("-").isdigit():
            raise ExportError(f'{name} must be a number, got "{value}"')
        return int(value)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """The value, one of `choices`. Raises ExportError."""
        value = self._values.get(name, default)
        if value not in choices:
            raise ExportError(f'{name} must be one of {", ".join(choices)}, got "{value}"')
        return value
