r"""The patterns of `${NAME#pattern}`, `${NAME%pattern}` and `${NAME/pattern/text}`: `*`, `?`, `\`.

BuildKit turns them into regular expressions of Go, which take linear time on any input; Python's can take
exponential time. So they are matched here, with the same meaning: the leftmost match, `*` taking as much as it can
(greedy) or as little, neither wildcard matching a line end.
"""

from __future__ import annotations

import re
from enum import Enum

_TEMPLATE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


class Wildcard(Enum):
    """What stands for other characters."""

    STAR = "*"
    ANY = "?"


Token = str | Wildcard


class Pattern:
    r"""A pattern, ready to match.

    Args:
        text: as written.
        greedy: whether `*` prefers long matches.

    Raises:
        ValueError: a backslash before a character that needs none.

    Example:
        >>> Pattern("a*b", greedy=True).find("xaabb")
        (1, 5)
    """

    def __init__(self, text: str, *, greedy: bool) -> None:
        self.greedy = greedy
        self.tokens = _tokens(text)

    def find(self, value: str, start: int = 0) -> tuple[int, int] | None:
        """(start, end) of the leftmost match at or after `start`."""
        tried: set[tuple[int, int]] = set()
        first = self.tokens[0] if self.tokens else ""
        position = start
        while position <= len(value):
            if isinstance(first, str) and first:
                position = value.find(first, position)
                if position < 0:
                    return None
            end = self._match(value, position, tried)
            if end is not None:
                return position, end
            position += 1
        return None

    def match(self, value: str) -> int | None:
        """Where a match at the beginning of `value` ends."""
        return self._match(value, 0, set())

    def _match(self, value: str, position: int, tried: set[tuple[int, int]]) -> int | None:
        """Depth first, preferred way first; `tried` has what failed before, so the time is bounded by its size."""
        stack = [(0, position)]
        while stack:
            state = stack.pop()
            if state in tried:
                continue
            tried.add(state)
            index, at = state
            if index == len(self.tokens):
                return at
            token = self.tokens[index]
            if isinstance(token, str):
                if value.startswith(token, at):
                    stack.append((index + 1, at + len(token)))
                continue
            more = at < len(value) and value[at] != "\n"
            if token is Wildcard.ANY:
                stack.extend([(index + 1, at + 1)] if more else [])
            else:
                ways = [(index, at + 1)] if more else []
                stack.extend([(index + 1, at), *ways] if self.greedy else [*ways, (index + 1, at)])
        return None


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    literal = ""
    # The reference's scanner drops a byte order mark at the beginning.
    chars = iter(text.removeprefix("\ufeff"))
    for char in chars:
        following = char
        if char == "\\":
            following = next(chars, "\ufffd")
            if following not in "*?\\}/":
                raise ValueError(f"invalid escape '\\{following}'")
        if char in "*?":
            tokens.extend([literal] if literal else [])
            tokens.append(Wildcard(char))
            literal = ""
        else:
            literal += following
    return [*tokens, literal] if literal else tokens


def without_prefix(pattern: str, value: str, *, greedy: bool) -> str:
    """`value` without what `pattern` matches at its beginning.

    Raises:
        ValueError: as `Pattern`, with the text of the whole error.
    """
    end = _compiled(pattern, greedy=greedy).match(value)
    return value if end is None else value[end:]


def without_suffix(pattern: str, value: str, *, greedy: bool) -> str:
    """`value` without what `pattern` matches at its end; errors show the pattern backwards, as the reference does."""
    return without_prefix(_reversed(pattern), value[::-1], greedy=greedy)[::-1]


def replaced(pattern: str, value: str, replacement: str, *, every: bool) -> str:
    """`value` with the first match replaced; with `every` all of them, where `$0` in `replacement` is the match."""
    compiled = _compiled(pattern, greedy=True)
    if every:
        return _replace_all(compiled, value, replacement)
    found = compiled.find(value)
    return value if found is None else value[: found[0]] + replacement + value[found[1] :]


def _compiled(pattern: str, *, greedy: bool) -> Pattern:
    try:
        return Pattern(pattern, greedy=greedy)
    except ValueError as error:
        raise ValueError(f"invalid pattern ({pattern}) in substitution: {error}") from None


def _replace_all(pattern: Pattern, value: str, replacement: str) -> str:
    parts: list[str] = []
    done = search = 0
    while search <= len(value):
        found = pattern.find(value, search)
        if found is None:
            break
        start, end = found
        parts.append(value[done:start])
        # An empty match right behind the previous one does not count.
        if end > done or start == 0:
            parts.append(_filled(replacement, value[start:end]))
        done = end
        search = max(end, search + 1)
    return "".join([*parts, value[done:]])


def _filled(template: str, match: str) -> str:
    """A replacement as Go's `Regexp.Expand` reads it: there are no groups, so only `$0` and `$$` give something."""

    def text(found: re.Match[str]) -> str:
        name = found[2] or found[3]
        return "$" if found[1] else match if name == "0" else ""

    return _TEMPLATE.sub(text, template) if "$" in template else template


def _reversed(pattern: str) -> str:
    """Backwards, but with each backslash before the character that it escapes."""
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        length = 2 if pattern[index] == "\\" and index + 1 < len(pattern) else 1
        parts.append(pattern[index : index + length])
        index += length
    return "".join(reversed(parts))
