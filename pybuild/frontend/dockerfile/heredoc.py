r"""Heredocs: which words of an instruction announce one, and their bodies' indentation."""

from __future__ import annotations

import re

import attrs

from pybuild.frontend.dockerfile.shellwords import ExpansionError, Lexer
from pybuild.values import Value

_WORD = re.compile(r"[0-9]*<<(-?)[\t\n\f\r ]*([^<]*)\Z")
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)
_PLAIN = Lexer(skip_unset=True)
_WITH_QUOTES = Lexer(skip_unset=True, raw_quotes=True)
_LINE = Lexer(skip_unset=True, raw_quotes=True, raw_escapes=True)


@attrs.frozen
class Heredoc(Value):
    """One heredoc.

    Attributes:
        name: the delimiter without quotes.
        expand: whether no part of the delimiter is quoted.
        chomp: `<<-`: tabs before the delimiter, and for COPY and ADD before each line, are dropped.
        content: the lines up to the delimiter, as they are.
    """

    name: str
    expand: bool
    chomp: bool
    content: str = ""


def parse_heredoc(word: str) -> Heredoc | None:
    """The heredoc that `word` announces, if it does.

    Raises:
        ExpansionError: the delimiter has bad quotes or `${...}`.

    Example:
        >>> parse_heredoc("<<-'EOF'")
        Heredoc(name='EOF', expand=False, chomp=True, content='')
    """
    match = _WORD.match(word)
    if match is None or not match[2]:
        return None
    names = _PLAIN.words(match[2], {})
    if len(names) != 1:
        return None
    # Quotes are there if they make a difference.
    written = _WITH_QUOTES.words(match[2], {})[0]
    return Heredoc(names[0], expand=_quotes(names[0]) == _quotes(written), chomp=match[1] == "-")


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')


def announced(word: str) -> Heredoc | None:
    """As `parse_heredoc`, but a word that is wrong announces none."""
    try:
        return parse_heredoc(word)
    except ExpansionError:
        return None


def heredocs_of(line: str) -> list[Heredoc]:
    """The heredocs that a line announces; a line with bad quotes announces none.

    Raises:
        ExpansionError: a delimiter is wrong.
    """
    try:
        words = _LINE.words(line, {})
    except ExpansionError:
        return []
    return [heredoc for word in words if (heredoc := parse_heredoc(word)) is not None]


def chomped(content: str) -> str:
    r"""Without the tabs at the beginning of each line.

    Example:
        >>> chomped("\ta\n\t\tb\n")
        'a\nb\n'
    """
    return _LEADING_TABS.sub("", content)
