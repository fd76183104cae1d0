"""One line of a Dockerfile: its keyword, flags, and words by the rules of the keyword."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import cast

import attrs

from pybuild.errors import DockerfileSyntaxError
from pybuild.frontend.dockerfile import gotext
from pybuild.values import Value

#: Blanks between words; narrower than `gotext.SPACE`.
BLANKS = re.compile(r"[\t\v\f\r ]+")
#: ONBUILD ONBUILD is an error anyway; what stands behind this many is not looked at for a worse one.
_LONGEST_CHAIN = 100


@attrs.frozen
class Arguments(Value):
    """What stands behind a keyword and its flags.

    Attributes:
        words: of ENV and LABEL, three per pair: name, value, and `=` or "".
        json: whether they were written as a JSON array.
    """

    words: tuple[str, ...] = ()
    json: bool = False


@attrs.frozen
class Statement(Value):
    """A line taken apart; `trigger` is the instruction behind an ONBUILD or EXPORT."""

    keyword: str
    flags: tuple[str, ...]
    arguments: Arguments
    trigger: Statement | None = None

    @property
    def is_json(self) -> bool:
        """Whether the arguments are a JSON array."""
        return self.arguments.json


def parse_statement(line: str, escape: str, *, extended: bool = False) -> Statement:
    r"""Take a line apart.

    Args:
        line: continued lines already joined.
        escape: the Dockerfile's escape character.
        extended: whether the instructions of EXTENSIONS are known.

    Raises:
        DockerfileSyntaxError: without a location.

    Example:
        >>> parse_statement("COPY --link a b", "\\").arguments.words
        ('a', 'b')
    """
    outer: list[tuple[str, tuple[str, ...]]] = []
    keyword, flags, rest = _split(line, escape)
    wrappers = _EXTENDED_WRAPPERS if extended else _WRAPPERS
    while gotext.lower(keyword) in wrappers and rest and len(outer) < _LONGEST_CHAIN:
        outer.append((keyword, flags))
        keyword, flags, rest = _split(rest, escape)
    parser = _PARSERS.get(gotext.lower(keyword)) or (_EXTENSIONS.get(gotext.lower(keyword)) if extended else None)
    statement = Statement(keyword, flags, parser(rest, escape) if parser else Arguments())
    # A chain of them is an error that the first two levels show.
    for outer_keyword, outer_flags in reversed(outer[:2]):
        statement = Statement(outer_keyword, outer_flags, Arguments(), statement)
    return statement


def _split(line: str, escape: str) -> tuple[str, tuple[str, ...], str]:
    keyword, *rest = BLANKS.split(gotext.trim_space(line), maxsplit=1)
    if not rest:
        return keyword, (), ""
    flags, arguments = _flags(rest[0], escape)
    return keyword, flags, gotext.trim_space(arguments)


def _flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The flags at the beginning of `text`, and the rest.

    BuildKit reads them byte by byte: a character outside ASCII in a flag becomes one character per byte.
    """
    text = gotext.as_bytes(text)
    pattern = _flag_pieces(escape)
    words: list[str] = []
    at = 0
    while True:
        at = _skip_space(text, at)
        if not text.startswith("--", at):
            return tuple(words), gotext.from_bytes(text[at:])
        word: list[str] = []
        start = at
        while match := pattern.match(text, at):
            word.append(_unquoted(match, escape))
            at = match.end()
        if "".join(word) == "--":
            return tuple(words), gotext.from_bytes(text[at:])
        if at > start:
            words.append("".join(word))


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in gotext.SPACES:
        at += 1
    return at


@lru_cache(maxsize=4)
def _flag_pieces(escape: str) -> re.Pattern[str]:
    """A piece of a flag: plain text, a quoted string, or an escaped character."""
    e = re.escape(escape)
    quoted = rf""" "((?:[^"{e}]|{e}.)*)(?:"|{e}?\Z) | '((?:[^'{e}]|{e}.)*)(?:'|{e}?\Z) """
    return re.compile(rf"""([^{_SPACE_CLASS}'"{e}]+) | {quoted} | {e}(.?)""", re.VERBOSE | re.DOTALL)


def _unquoted(match: re.Match[str], escape: str) -> str:
    plain, double, single, escaped = match.groups()
    if plain is not None:
        return plain
    if escaped is not None:
        return escaped
    body = double if double is not None else single or ""
    return re.sub(rf"{re.escape(escape)}(.)", r"\1", body, flags=re.DOTALL)


_SPACE_CLASS = "".join(f"\\u{ord(char):04x}" for char in gotext.SPACE)


@lru_cache(maxsize=4)
def _word_pieces(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    return re.compile(
        rf"""[^{_SPACE_CLASS}'"{e}]+ | {e}. | '[^']*'? | "(?:[^"{e}]|{e}.)*"? | {e}(?P<last>\Z)""",
        re.VERBOSE | re.DOTALL,
    )


def split_words(text: str, escape: str) -> list[str]:
    r"""Words, with their quotes and escapes; an escape character at the very end is dropped.

    Example:
        >>> split_words("a='b c' d\\ e", "\\")
        ["a='b c'", 'd\\ e']
    """
    text = gotext.valid(text)
    pattern = _word_pieces(escape)
    words: list[str] = []
    at = _skip_space(text, 0)
    while at < len(text):
        word: list[str] = []
        while match := pattern.match(text, at):
            at = match.end()
            if match["last"] is None:
                word.append(match[0])
            else:
                break
        if word:
            words.append("".join(word))
        at = _skip_space(text, at)
    return words


def _text(rest: str, escape: str) -> Arguments:
    return Arguments((rest,) if rest else ())


def _blank_separated(rest: str, escape: str) -> Arguments:
    return Arguments(tuple(BLANKS.split(rest)) if rest else ())


def _json(rest: str) -> Arguments | None:
    rest = rest.lstrip(gotext.SPACE)
    if not rest.startswith("["):
        return None
    try:
        document = gotext.load_json(rest)
    except ValueError:
        return None
    items = cast("list[object]", document)
    words = tuple(item for item in items if isinstance(item, str))
    if len(words) != len(items):
        raise DockerfileSyntaxError("when using JSON array syntax, arrays must be comprised of strings only")
    return Arguments(words, json=True)


def _json_or_text(rest: str, escape: str) -> Arguments:
    return _json(rest) or _text(rest, escape)


def _json_or_words(rest: str, escape: str) -> Arguments:
    return _json(rest) or _blank_separated(rest, escape)


def _pairs(keyword: str) -> Callable[[str, str], Arguments]:
    def parse(rest: str, escape: str) -> Arguments:
        words = split_words(rest, escape)
        if not words:
            return Arguments()
        if "=" not in words[0]:
            name, *value = BLANKS.split(rest, maxsplit=1)
            if not value:
                raise DockerfileSyntaxError(f"{keyword} must have two arguments")
            return Arguments((name, value[0], ""))
        found: list[str] = []
        for word in words:
            name, equals, text = word.partition("=")
            if not equals:
                quoted = gotext.quote(word)
                raise DockerfileSyntaxError(f"Syntax error - can't find = in {quoted}. Must be of the form: name=value")
            found.extend((name, text, equals))
        return Arguments(tuple(found))

    return parse


def _names(rest: str, escape: str) -> Arguments:
    return Arguments(tuple(split_words(rest, escape)))


def _health(rest: str, escape: str) -> Arguments:
    """The kind of check, then a command; the first blank is looked for byte by byte."""
    raw = gotext.as_bytes(rest)
    end = next((at for at, char in enumerate(raw) if char in gotext.SPACES), len(raw))
    if not end:
        return Arguments()
    command = _json_or_text(gotext.from_bytes(raw[_skip_space(raw, end) :]), escape)
    return Arguments((gotext.from_bytes(raw[:end]), *command.words), command.json)


_PARSERS: dict[str, Callable[[str, str], Arguments]] = {
    "add": _json_or_words,
    "arg": _names,
    "cmd": _json_or_text,
    "copy": _json_or_words,
    "entrypoint": _json_or_text,
    "env": _pairs("ENV"),
    "expose": _blank_separated,
    "from": _blank_separated,
    "healthcheck": _health,
    "label": _pairs("LABEL"),
    "maintainer": _text,
    "onbuild": lambda rest, escape: Arguments(),
    "run": _json_or_text,
    "shell": _json_or_text,
    "stopsignal": _text,
    "user": _text,
    "volume": _json_or_words,
    "workdir": _text,
}
_EXTENSIONS: dict[str, Callable[[str, str], Arguments]] = {
    "export": lambda rest, escape: Arguments(),
    "import": _names,
    "include": _names,
}
#: All keywords, in lower case.
KEYWORDS: tuple[str, ...] = tuple(_PARSERS)
#: The keywords that pybuild adds.
EXTENSIONS: tuple[str, ...] = tuple(_EXTENSIONS)
_WRAPPERS = frozenset({"onbuild"})
_EXTENDED_WRAPPERS = frozenset({"onbuild", "export"})
