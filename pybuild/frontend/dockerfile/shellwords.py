"""Quotes, escapes and `${...}` of a word."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pybuild.errors import InstructionError


@attrs.frozen
class Expansion:
    """An expanded word.

    Attributes:
        text: the result.
        matched: the variables in it that are set, in order, each once.
        unmatched: those that are not.
    """

    text: str
    matched: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()


class ExpansionError(InstructionError):
    """A word cannot be expanded; has the variables met before the error."""

    def __init__(self, message: str, matched: tuple[str, ...] = (), unmatched: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.matched = matched
        self.unmatched = unmatched


@attrs.frozen(kw_only=True)
class Lexer:
    r"""How words are read.

    Attributes:
        escape: the Dockerfile's escape character.
        raw_quotes: keep quotes.
        raw_escapes: keep escape characters.
        plain_quotes: quotes are characters like others (heredoc bodies).
        skip_unset: leave `$NAME` of a variable that is not set as it is.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    plain_quotes: bool = False
    skip_unset: bool = False

    def word(self, text: str, env: Mapping[str, str]) -> Expansion:
        """`text` as one word, quotes removed.

        Raises:
            ExpansionError: bad quotes or `${...}`.
        """
        raise NotImplementedError

    def words(self, text: str, env: Mapping[str, str]) -> tuple[str, ...]:
        """`text` split at white space after expansion, as EXPOSE does."""
        raise NotImplementedError
