"""How Go's standard library reads and prints text, where Dockerfiles depend on it.

A Dockerfile is decoded as UTF-8 with `surrogateescape`: each invalid byte is one lone surrogate, so that it can be
passed on as it is, or replaced where BuildKit replaces it (`valid`).
"""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn, cast

from pybuild.llb.quoting import quote

#: What Go calls white space; Python's `str.isspace` has four control characters more.
SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u3000"
)
SPACES: Final = frozenset(SPACE)

_INVALID = re.compile("[\ud800-\udfff]")
_HTML = re.compile("[<>&\u2028\u2029]")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def decode(data: bytes) -> str:
    """The text of `data`; each byte that is not UTF-8 becomes a lone surrogate."""
    return data.decode("utf-8", "surrogateescape")


def valid(text: str) -> str:
    """With U+FFFD in place of every byte that was not UTF-8, as Go has it after decoding runes."""
    return text if text.isascii() else _INVALID.sub("\ufffd", text)


def as_bytes(text: str) -> str:
    """One character per byte of `text`; for the places where BuildKit takes bytes for characters."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def from_bytes(text: str) -> str:
    """Undo `as_bytes`."""
    return text if text.isascii() else decode(text.encode("latin-1"))


def trim_space(text: str) -> str:
    """Without white space at both ends."""
    return text.strip(SPACE)


def lower(text: str) -> str:
    """In lower case, character by character (never longer); bytes that are no text become U+FFFD."""
    return text.lower() if text.isascii() else "".join(char.lower()[0] for char in valid(text))


def upper(text: str) -> str:
    """In upper case, as `lower`: a character that has no single upper case letter stays."""
    if text.isascii():
        return text.upper()
    return "".join(char.upper() if len(char.upper()) == 1 else char for char in valid(text))


def parse_bool(text: str) -> bool:
    """As `strconv.ParseBool`.

    Raises:
        ValueError: with Go's message.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def parse_int(text: str, bits: int) -> int:
    """As `strconv.ParseInt` of a decimal number.

    Raises:
        ValueError: with Go's message.
    """
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    number = _bounded(text)
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return number


def parse_uint(text: str, base: int, bits: int = 32) -> int:
    """As `strconv.ParseUint`.

    Raises:
        ValueError: not a number, or too large.
    """
    digits = "01234567" if base == 8 else "0123456789"
    if not text or text.strip(digits):
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: invalid syntax")
    number = _bounded(text, base)
    if number >= 1 << bits:
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return number


def _bounded(digits: str, base: int = 10) -> int:
    """The number; a very long one is only known to be out of every range."""
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-").lstrip("0")
    return sign * (int(digits or "0", base) if len(digits) < 40 else 1 << 100)


def html_escaped(json_text: str) -> str:
    r"""JSON text with the characters escaped that Go escapes for the sake of HTML pages.

    Example:
        >>> html_escaped('"a<b"')
        '"a\\u003cb"'
    """
    return _HTML.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def load_json(text: str) -> object:
    r"""As `json.Unmarshal` into `any`, which is stricter than Python about numbers and laxer about surrogates.

    Raises:
        ValueError: not JSON, or a number that is none in 64 bits.

    Example:
        >>> load_json('["a", "\\ud800"]')
        ['a', '\ufffd']
    """
    try:
        document: object = json.loads(valid(text), parse_float=_number, parse_int=_number, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if not isinstance(document, list):
        return document
    items = cast("list[object]", document)
    return [valid(item) if isinstance(item, str) else item for item in items]


def _number(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(f"number {text} is out of range")
    return number


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"invalid character in {text}")


__all__ = [
    "SPACE",
    "SPACES",
    "as_bytes",
    "decode",
    "from_bytes",
    "html_escaped",
    "load_json",
    "lower",
    "parse_bool",
    "parse_int",
    "parse_uint",
    "quote",
    "trim_space",
    "upper",
    "valid",
]
