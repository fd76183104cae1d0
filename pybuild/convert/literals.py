"""Texts as Python literals, the way ruff would leave them."""

from __future__ import annotations

import re
from itertools import pairwise

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_LONG_RUN = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")


def literal(text: str) -> str:
    r"""`text` as a literal on one line: double quotes, unless single ones need fewer escapes.

    Example:
        >>> print(literal("a\n"), literal('say "hi"'))
        "a\n" 'say "hi"'
    """
    quote = "'" if '"' in text and "'" not in text else '"'
    return quote + escaped(text, quote) + quote


def escaped(text: str, quote: str) -> str:
    """The inside of a literal with `quote` around it."""
    return "".join(_escaped(character, quote) for character in text)


def _escaped(character: str, quote: str) -> str:
    if character == quote:
        return "\\" + quote
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def block(text: str, prefix: str = "") -> str:
    r"""A text of several lines in triple quotes, its lines as they are; `prefix` is `f` for a text with braces doubled.

    Example:
        >>> block("one\ntwo\n").splitlines()[1:3]
        ['one', 'two']
    """
    inside = "".join(c if c in "\n\t'" else _escaped(c, "") for c in text).replace('"""', '\\"""')
    if inside.endswith('"'):
        inside = inside[:-1] + '\\"'
    return f'{prefix}"""\\\n{inside}"""'


def is_block(text: str) -> bool:
    """Whether a text reads better in triple quotes."""
    return text.rstrip("\n").count("\n") > 0 or (text.endswith("\n") and len(text) > 60)


def pieces(text: str) -> list[str]:
    """A command cut where its lines were continued: before runs of white space, which stay.

    Example:
        >>> pieces("make all     && make install")
        ['make all', '     && make install']
    """
    cuts = [match.start() for match in _LONG_RUN.finditer(text)]
    bounds = [0, *cuts, len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]
