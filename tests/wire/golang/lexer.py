"""Tokens of Go source, with the semicolons that line ends stand for (The Go Programming Language Specification)."""

from __future__ import annotations

import re
from typing import NamedTuple


class Unsupported(Exception):
    """The snippet uses something that the interpreter does not know."""


class Token(NamedTuple):
    """`kind` is name, int, float, string, rune, op or end; `value` is the decoded literal, or the text."""

    kind: str
    value: object
    at: int


_OPERATORS = [
    "<<=",
    ">>=",
    "&^=",
    "...",
    "&&",
    "||",
    "<-",
    "++",
    "--",
    "==",
    "!=",
    "<=",
    ">=",
    ":=",
    "+=",
    "-=",
    "*=",
    "/=",
    "%=",
    "&=",
    "|=",
    "^=",
    "<<",
    ">>",
    "&^",
    "+",
    "-",
    "*",
    "/",
    "%",
    "&",
    "|",
    "^",
    "<",
    ">",
    "=",
    "!",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ".",
    ":",
    "~",
]
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+|//[^\n]*|/\*.*?\*/)
    |(?P<line>\n)
    |(?P<name>[^\W\d]\w*)
    |(?P<float>\d[\d_]*\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    |(?P<int>0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]*|[1-9][\d_]*)
    |(?P<raw>`[^`]*`)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<rune>'(?:[^'\\\n]|\\[^'\n]+|\\')')
    |(?P<op>"""
    + "|".join(re.escape(op) for op in _OPERATORS)
    + ")",
    re.VERBOSE | re.DOTALL,
)
_ENDS = frozenset({")", "]", "}", "++", "--"})
_KEYWORDS_END = frozenset({"break", "continue", "fallthrough", "return"})
KEYWORDS = frozenset(
    [
        "break",
        "case",
        "chan",
        "const",
        "continue",
        "default",
        "defer",
        "else",
        "fallthrough",
        "for",
        "func",
        "go",
        "goto",
        "if",
        "import",
        "interface",
        "map",
        "package",
        "range",
        "return",
        "select",
        "struct",
        "switch",
        "type",
        "var",
    ]
)
_ESCAPES = {
    "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34,
}  # fmt: skip
_ESCAPE = re.compile(r"\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)


def tokens(source: str) -> list[Token]:
    """All tokens of `source`, an end token last.

    Raises:
        Unsupported: a character that begins no token.
    """
    found: list[Token] = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise Unsupported(f"character {source[position]!r}")
        kind, text = str(match.lastgroup), match[0]
        if kind == "line" or (kind == "blank" and "\n" in text):
            _end_line(found, position)
        elif kind != "blank":
            found.append(_token(kind, text, position))
        position = match.end()
    _end_line(found, position)
    found.append(Token("end", "", position))
    return found


def _end_line(found: list[Token], at: int) -> None:
    """A line end after what can end a statement is a semicolon."""
    if not found:
        return
    last = found[-1]
    literal = last.kind in ("int", "float", "string", "rune")
    name = last.kind == "name" and (last.value not in KEYWORDS or last.value in _KEYWORDS_END)
    if literal or name or (last.kind == "op" and last.value in _ENDS):
        found.append(Token("op", ";", at))


def _token(kind: str, text: str, at: int) -> Token:
    match kind:
        case "int":
            return Token(kind, _integer(text.replace("_", "")), at)
        case "float":
            return Token(kind, float(text), at)
        case "raw":
            return Token("string", text[1:-1].replace("\r", ""), at)
        case "string":
            return Token(kind, _unescaped(text[1:-1]).decode(errors="surrogateescape"), at)
        case "rune":
            return Token(kind, ord(_unescaped(text[1:-1]).decode(errors="surrogateescape")), at)
        case _:
            return Token(kind, text, at)


def _integer(text: str) -> int:
    if len(text) > 1 and text[0] == "0" and text[1] not in "xXbBoO":
        return int(text, 8)
    return int(text, 0)


def _unescaped(text: str) -> bytes:
    """The bytes of a string literal: `\\x` and octal escapes are bytes, all else is UTF-8."""
    made, position = bytearray(), 0
    for match in _ESCAPE.finditer(text):
        made += text[position : match.start()].encode()
        byte, short, long, octal, letter = match.groups()
        if byte or octal:
            made.append(int(byte, 16) if byte else int(octal, 8))
        elif short or long:
            made += chr(int(short or long, 16)).encode()
        else:
            made.append(_ESCAPES[letter])
        position = match.end()
    return bytes(made + text[position:].encode())
