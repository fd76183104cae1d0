"""The flags of one instruction: `--name`, `--name=value`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.suggest import hint

Kind = Literal["bool", "string", "strings"]


class Flags:
    """Parsed flags.

    Args:
        words: as written, `--` included.
        known: kind by name, in the order in which they are suggested.

    Raises:
        InstructionError: an unknown flag, a value that is missing or wrong, a flag given twice.

    Example:
        >>> flags = Flags(["--link", "--exclude=a", "--exclude=b"], {"link": "bool", "exclude": "strings"})
        >>> flags.boolean("link"), flags.strings("exclude")
        (True, ('a', 'b'))
    """

    def __init__(self, words: Sequence[str], known: Mapping[str, Kind]) -> None:
        self._values: dict[str, list[str]] = {}
        for word in words:
            if word == "--":
                break
            if not word.startswith("--"):
                raise InstructionError(f"arg should start with -- : {word}")
            self._read(word, known)

    def _read(self, word: str, known: Mapping[str, Kind]) -> None:
        written, equals, value = word.partition("=")
        name = written[2:]
        if name not in known:
            raise InstructionError(f"unknown flag: {written}" + hint(name, known))
        kind = known[name]
        if name in self._values and kind != "strings":
            raise InstructionError(f"duplicate flag specified: {written}")
        if kind == "bool":
            value = _boolean(written, value, given=bool(equals))
        elif not equals:
            raise InstructionError(f"missing a value on flag: {written}")
        self._values.setdefault(name, []).append(value)

    @property
    def used(self) -> tuple[str, ...]:
        """The names of the flags that were given, sorted."""
        return tuple(sorted(self._values))

    def string(self, name: str, default: str = "") -> str:
        """The value of a flag."""
        return self._values[name][0] if name in self._values else default

    def strings(self, name: str) -> tuple[str, ...]:
        """All values of a flag that can be repeated."""
        return tuple(self._values.get(name, ()))

    def boolean(self, name: str) -> bool | None:
        """Whether a switch is on; None when it was not given."""
        return self._values[name][0] == "true" if name in self._values else None


def _boolean(written: str, value: str, *, given: bool) -> str:
    if given and not value:
        raise InstructionError(f"missing a value on flag: {written}")
    folded = gotext.lower(value) or "true"
    if folded not in {"true", "false"}:
        raise InstructionError(f"expecting boolean value for flag {written}, not: {value}")
    return folded
