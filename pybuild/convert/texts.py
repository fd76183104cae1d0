"""Words whose values are known only when the Buildfile runs.

A Dockerfile's words are expanded by the frontend's own lexer. What stands for a value of later (a parameter, a
variable of the base image) goes through it as one character sequence that no Dockerfile has, a *hole*; `Texts.code`
makes Python of what comes out: a plain literal where there are no holes, else an f-string.
"""

from __future__ import annotations

import re

import attrs

from pybuild.convert.layout import Code, Pieces
from pybuild.convert.literals import block, escaped, is_block, literal, pieces
from pybuild.frontend.dockerfile.shellwords import Lexer

_HOLE = re.compile("\ue000([0-9]+)\ue001")
_NAMES = re.compile(r"\$(?:(\w+)|\{(\w+)(\}?))")
_MODIFIED = re.compile(r"\$\{(\w+)[^\w}]")


@attrs.frozen
class Hole:
    """A value of later.

    Attributes:
        code: the Python expression.
        nullable: it may be None, which stands for a variable that is not set.
        unset: the expression that gives None for a variable that is not set, where `code` gives an empty text.
    """

    code: str
    nullable: bool = False
    unset: str = ""


class Texts:
    """The holes of one Buildfile, by number."""

    def __init__(self) -> None:
        self._holes: list[Hole] = []
        self._numbers: dict[Hole, int] = {}
        self.helpers: set[str] = set()
        """Names that the code made here imports from pybuild."""

    def hole(self, code: str, *, nullable: bool = False, unset: str = "") -> str:
        """A hole as text."""
        made = Hole(code, nullable, unset)
        number = self._numbers.setdefault(made, len(self._holes))
        if number == len(self._holes):
            self._holes.append(made)
        return f"\ue000{number}\ue001"

    def holes(self, text: str) -> list[Hole]:
        """The holes in a text, in order."""
        return [self._holes[int(number)] for number in _HOLE.findall(text)]

    def single(self, text: str) -> Hole | None:
        """The hole that is all of a text."""
        match = _HOLE.fullmatch(text)
        return self._holes[int(match[1])] if match else None

    # ------------------------------------------------------------------------------------------------------ expansion

    def word(self, text: str, env: dict[str, str], lexer: Lexer) -> str:
        """A word of the Dockerfile expanded; `env` has holes among its values.

        Raises:
            ExpansionError: bad quotes or `${...}`.
        """
        later = [name for name in _modified(text) if _HOLE.search(env.get(name, ""))]
        if later:
            return self.hole(self._expand_call(text, env, lexer))
        return lexer.word(text, env).text

    def _expand_call(self, text: str, env: dict[str, str], lexer: Lexer) -> str:
        """The call that expands a word whose modifiers (`${NAME:-...}`) depend on a value of later."""
        self.helpers.add("expand")
        found = dict.fromkeys(name for name in names_in(text) if name in env)
        given = ", ".join(f"{literal(name)}: {self.code(env[name], nullable=True)}" for name in found)
        option = f", escape={literal(lexer.escape)}" if lexer.escape != "\\" else ""
        option += ", quotes=False" if lexer.plain_quotes else ""
        return f"expand({self.code(text)}, {{{given}}}{option})"

    # --------------------------------------------------------------------------------------------------------- python

    def code(self, text: str, *, nullable: bool = False) -> str:
        """A text as a Python expression.

        Args:
            text: with holes.
            nullable: whether None may come out, for a value that may not be set.
        """
        hole = self.single(text)
        if hole is not None:
            if nullable:
                return hole.unset or hole.code
            return f'{hole.code} or ""' if hole.nullable else hole.code
        if not _HOLE.search(text):
            return block(text) if is_block(text) else literal(text)
        parts = _HOLE.split(text)
        if all(_fits_in_braces(self._holes[int(number)].code) for number in parts[1::2]):
            return self._formatted(parts)
        return " + ".join(
            self._in_sum(part) if number % 2 else literal(part) for number, part in enumerate(parts) if part
        )

    def _in_sum(self, number: str) -> str:
        hole = self._holes[int(number)]
        return f'({hole.code} or "")' if hole.nullable else hole.code

    def _formatted(self, parts: list[str]) -> str:
        whole = "".join(part for part in parts[::2])
        as_block = is_block(whole)
        made: list[str] = []
        for number, part in enumerate(parts):
            if number % 2:
                hole = self._holes[int(part)]
                code = hole.code.replace('"', "'")
                made.append(f"{{{code} or ''}}" if hole.nullable else f"{{{code}}}")
            else:
                plain = part.replace("{", "{{").replace("}", "}}")
                made.append(plain if as_block else escaped(plain, '"'))
        return block("".join(made), "f") if as_block else f'f"{"".join(made)}"'

    def path(self, text: str) -> str:
        """A path as a Python expression; one that may turn out empty is the present directory."""
        hole = self.single(text)
        may_be_empty = hole is not None and (hole.nullable or bool(hole.unset))
        return f'{hole.code} or "."' if hole is not None and may_be_empty else self.code(text or ".")

    def command(self, text: str) -> Code:
        """A command text as Python, cut where its lines were continued."""
        if _HOLE.search(text) or is_block(text):
            return self.code(text)
        return Pieces([literal(piece) for piece in pieces(text)])


def names_in(text: str) -> list[str]:
    """The variables that a word may mention, escaped or not."""
    return [match[1] or match[2] for match in re.finditer(r"\$\{?(?:(\w+)|(\w+))", text)]


def _modified(text: str) -> list[str]:
    """The variables of a word that stand in `${...}` with a modifier, and those inside of its words."""
    return names_in(text) if _MODIFIED.search(text) else []


def _fits_in_braces(code: str) -> bool:
    """Whether an expression can stand in an f-string with double quotes (before Python 3.12), its own made single."""
    return not any(character in code for character in "'\\{}\n#")
