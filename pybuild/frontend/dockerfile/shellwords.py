"""Quotes, escapes and `${...}` of a word, as `shell.Lex` of BuildKit's frontend reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import attrs

from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile import gotext, shellpattern
from pybuild.values import Value

#: Parameters that a shell has, and a Dockerfile reads as names.
_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
#: How messages show the end of the text.
_END = "\ufffd"
#: `${A:-${B:-...}}` deeper than this is refused.
MAX_DEPTH = 150


@attrs.frozen
class Expansion(Value):
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
class Lexer(Value):
    r"""How words are read.

    Attributes:
        escape: the Dockerfile's escape character.
        raw_quotes: keep quotes.
        raw_escapes: keep escape characters.
        plain_quotes: quotes are characters like others (heredoc bodies).
        skip_unset: leave `$NAME` of a variable that is not set as it is.

    Example:
        >>> Lexer().word("'$A' ${B:-x}$C", {"C": "1"})
        Expansion(text='$A x1', matched=('C',), unmatched=('B',))
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
        if text.isascii() and _run(f"$'\"{self.escape}").fullmatch(text):
            return Expansion(text)
        reader = _Reader(self, text, env)
        try:
            result, _ = reader.read_until("", self.raw_escapes)
        except _WordError as error:
            raise ExpansionError(*_described(text, error), *reader.met()) from None
        return Expansion(result, *reader.met())

    def words(self, text: str, env: Mapping[str, str]) -> tuple[str, ...]:
        """`text` split at white space after expansion, as EXPOSE does.

        Raises:
            ExpansionError: bad quotes or `${...}`.

        Example:
            >>> Lexer().words("a 'b c' $D", {"D": "1 2"})
            ('a', 'b c', '1', '2')
        """
        reader = _Reader(self, text, env)
        try:
            return tuple(reader.read_until("", self.raw_escapes)[1])
        except _WordError as error:
            raise ExpansionError(*_described(text, error), *reader.met()) from None


class _WordError(Exception):
    """What is wrong with a word; the word itself is not in the text."""


def _described(text: str, error: _WordError) -> tuple[str]:
    return (f"failed to process {gotext.quote(text)}: {error}",)


@lru_cache(maxsize=64)
def _run(stops: str) -> re.Pattern[str]:
    """Characters up to the next one of `stops`."""
    return re.compile(f"[^{re.escape(stops)}]*")


class _Words:
    """Splits what is read at white space.

    The buffer of the word that is being read is shared by nested readers, as in the reference: a `${A:-b}` inside a
    word drops what that word had before it.
    """

    def __init__(self, buffer: list[str]) -> None:
        buffer.clear()
        self.buffer = buffer
        self.found: list[str] = []

    def add(self, text: str) -> None:
        for char in text:
            if char not in gotext.SPACES:
                self.add_raw(char)
            else:
                self.finish()

    def add_raw(self, text: str) -> None:
        if text:
            self.buffer.append(text)

    def finish(self) -> list[str]:
        if self.buffer:
            self.found.append("".join(self.buffer))
            self.buffer.clear()
        return self.found


class _Reader:
    """One pass over a text."""

    def __init__(self, lexer: Lexer, text: str, env: Mapping[str, str]) -> None:
        self.lexer = lexer
        # The reference's scanner drops a byte order mark at the beginning.
        self.text = gotext.valid(text).removeprefix("\ufeff")
        self.env = env
        self.at = 0
        self.depth = 0
        self.raw_escapes = lexer.raw_escapes
        self.buffer: list[str] = []
        self.matched: dict[str, None] = {}
        self.unmatched: dict[str, None] = {}
        self.specials = f"$<{lexer.escape}" + ("" if lexer.plain_quotes else "'\"")

    def met(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The variables so far: set ones, others."""
        return tuple(self.matched), tuple(self.unmatched)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        char = self.peek()
        self.at += len(char)
        return char

    def read_until(self, stop: str, raw_escapes: bool) -> tuple[str, list[str]]:
        """All up to the character `stop` (to the end when it is ""), as one text and as words."""
        if self.depth >= MAX_DEPTH:
            raise _WordError("substitutions are nested too deeply")
        self.depth += 1
        outer, self.raw_escapes = self.raw_escapes, raw_escapes
        try:
            return self._read_until(stop)
        finally:
            self.raw_escapes = outer
            self.depth -= 1

    def _read_until(self, stop: str) -> tuple[str, list[str]]:
        result: list[str] = []
        words = _Words(self.buffer)
        ordinary = _run(self.specials + stop)
        while self.at < len(self.text):
            run = ordinary.match(self.text, self.at)
            if run and run[0]:
                result.append(run[0])
                words.add(run[0])
                self.at = run.end()
                continue
            char = self.peek()
            if char == stop:
                self.at += 1
                return "".join(result), words.finish()
            if char == "$":
                result.append(self.dollar())
                words.add(result[-1])
            elif char in self.specials and char != self.lexer.escape:
                result.append(self.special(char))
                words.add_raw(result[-1])
            else:
                result.append(self.escaped())
                words.add_raw(result[-1])
        if stop:
            raise _WordError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(result), words.finish()

    def escaped(self) -> str:
        """An escape character and what it escapes; one at the end is dropped."""
        char = self.next()
        return (char if self.raw_escapes else "") + self.next()

    def special(self, char: str) -> str:
        if char == "'":
            return self.single_quoted()
        if char == '"':
            return self.double_quoted()
        return self.angle()

    def angle(self) -> str:
        """`<`, or `<<` with the blanks behind it: a heredoc's name may stand after some."""
        match = re.compile(r"<(<[\t\r ]*)?").match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return match[0]

    def single_quoted(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            self.at = len(self.text)
            raise _WordError("unexpected end of statement while looking for matching single-quote")
        body = self.text[self.at + 1 : end]
        self.at = end + 1
        return f"'{body}'" if self.lexer.raw_quotes else body

    def double_quoted(self) -> str:
        escape = self.lexer.escape
        quote = '"' if self.lexer.raw_quotes else ""
        ordinary = _run(f'"${escape}')
        result = [quote]
        self.at += 1
        while True:
            run = ordinary.match(self.text, self.at)
            if run and run[0]:
                result.append(run[0])
                self.at = run.end()
            char = self.peek()
            if not char:
                raise _WordError("unexpected end of statement while looking for matching double-quote")
            if char == "$":
                result.append(self.dollar())
                continue
            self.at += 1
            if char == '"':
                return "".join([*result, quote])
            if self.raw_escapes:
                result.append(char)
            following = self.peek()
            # Only these can be escaped; before others the escape character stands for itself.
            if following and following in f'"${escape}':
                result.append(self.next())
            elif following:
                result.append(char)

    def dollar(self) -> str:
        self.at += 1
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            value = self.lookup(name)
            return f"${name}" if value is None and self.lexer.skip_unset else value or ""
        self.at += 1
        if not self.peek():
            raise _WordError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise _WordError("syntax error: bad substitution")
        name = self.name()
        operator = self.next()
        if operator == "}":
            value = self.lookup(name)
            return f"${{{name}}}" if value is None and self.lexer.skip_unset else value or ""
        if operator == "/":
            return self.replacement(name)
        if operator and operator in ":+-?#%":
            return self.modifier(name, operator)
        raise _WordError(f"unsupported modifier ({operator or _END}) in substitution")

    def name(self) -> str:
        """A variable's name: digits, a special parameter, or letters, digits and `_`; can be empty."""
        start = self.at
        first = self.peek()
        if first.isdecimal():
            while self.peek().isdecimal():
                self.at += 1
        elif first and first in _SPECIAL_PARAMETERS:
            self.at += 1
        else:
            while self.peek().isalpha() or self.peek().isdecimal() or self.peek() == "_":
                self.at += 1
        return self.text[start : self.at]

    def lookup(self, name: str) -> str | None:
        value = self.env.get(name)
        (self.unmatched if value is None else self.matched)[name] = None
        return value

    def nested(self, stop: str, raw_escapes: bool, missing: str) -> str:
        """The text up to `stop`; an error that was met at the end of the word is that something is missing there."""
        try:
            return self.read_until(stop, raw_escapes)[0]
        except _WordError:
            if self.at >= len(self.text):
                raise _WordError(f"syntax error: missing {missing}") from None
            raise

    def modifier(self, name: str, operator: str) -> str:
        """`${name-word}` and the like."""
        empty_is_unset = operator == ":"
        kind = self.next() if empty_is_unset else operator
        written = f":{kind or _END}" if empty_is_unset else kind
        is_pattern = kind in {"#", "%"}
        if empty_is_unset and is_pattern:
            raise _WordError(f"unsupported modifier ({written}) in substitution")
        word = self.nested("}", is_pattern, "'}'")
        value = self.lookup(name)
        if value is None and self.lexer.skip_unset:
            return f"${{{name}{written}{word}}}"
        missing = value is None or (empty_is_unset and not value)
        match kind:
            case "-":
                return word if missing else value or ""
            case "+":
                return "" if missing else word
            case "?":
                if missing:
                    default = f"is not allowed to be {'unset' if value is None else 'empty'}"
                    raise _WordError(f"{name}: {word or default}")
                return value or ""
            case "#" | "%":
                return _trimmed(kind, word, value or "")
            case _:
                raise _WordError(f"unsupported modifier ({written}) in substitution")

    def replacement(self, name: str) -> str:
        """`${name/pattern/text}`."""
        every = self.peek() == "/"
        self.at += every
        pattern = self.nested("/", True, "'/' in ${}")
        text = self.nested("}", True, "'}'")
        value = self.lookup(name)
        if value is None and self.lexer.skip_unset:
            return f"${{{name}/{pattern}/{text}}}"
        try:
            return shellpattern.replaced(pattern, value or "", text, every=every)
        except ValueError as error:
            raise _WordError(str(error)) from None


def _trimmed(kind: str, word: str, value: str) -> str:
    """`##` and `%%` take the longest match, `#` and `%` the shortest."""
    greedy = word.startswith(kind)
    pattern = word.removeprefix(kind)
    trim = shellpattern.without_prefix if kind == "#" else shellpattern.without_suffix
    try:
        return trim(pattern, value, greedy=greedy)
    except ValueError as error:
        raise _WordError(str(error)) from None
