"""Path patterns: Go's `filepath.Match`, and the ordered lists of `.dockerignore` files and of copies' include/exclude.

A pattern is compiled once, to a comparison where that is enough and to a regular expression otherwise. The lists
mirror moby/patternmatcher: the last pattern that matches a path, or one of its parents, decides; `!` takes back.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

from pybuild.errors import DefinitionError

ParentState: TypeAlias = tuple[bool, ...]
_NEVER = r"(?!)"


def match(pattern: str, name: str) -> bool:
    """Go's `filepath.Match`: does `pattern` match all of `name`; neither `*` nor `?` matches a slash.

    Raises:
        DefinitionError: the pattern is malformed.

    Example:
        >>> match("*.py", "a.py"), match("*.py", "d/a.py"), match("[a-c]?", "bz")
        (True, False, True)
    """
    return _glob(pattern).fullmatch(name) is not None


def has_wildcards(path: str) -> bool:
    """Whether `path` has an unescaped `*`, `?` or `[`."""
    return re.search(r"(?:^|[^\\])(?:\\\\)*[*?\[]", path) is not None


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    out: list[str] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            if not out or out[-1] != "[^/]*":
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\":
            if position == len(pattern):
                raise _malformed(pattern)
            out.append(re.escape(pattern[position]))
            position += 1
        elif char == "[":
            text, position = _class(pattern, position)
            out.append(text)
        else:
            out.append(re.escape(char))
    return re.compile("".join(out), re.DOTALL)


def _class(pattern: str, position: int, *, ordered: bool = False) -> tuple[str, int]:
    """Translate a character class to a regex.

    Args:
        pattern: the whole pattern.
        position: behind the class's `[`; the position behind its `]` is returned.
        ordered: a range that runs backwards is an error; `filepath.Match` lets it match nothing.
    """
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[str] = []
    first = True
    while first or not pattern.startswith("]", position):
        first = False
        low, position = _class_char(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _class_char(pattern, position + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        elif ordered:
            raise _malformed(pattern)
    if not ranges:
        return ("." if negated else _NEVER), position + 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]", position + 1


def _class_char(pattern: str, position: int) -> tuple[str, int]:
    char = pattern[position : position + 1]
    if char in {"", "-", "]"}:
        raise _malformed(pattern)
    if char == "\\":
        position += 1
        char = pattern[position : position + 1]
    if not char or position + 1 >= len(pattern):
        raise _malformed(pattern)
    return char, position + 1


def _malformed(pattern: str) -> DefinitionError:
    return DefinitionError(f'syntax error in pattern "{pattern}"', hint="escape a literal *, ?, [ or \\ with \\")


class _Pattern:
    """One line of a list: what it matches, and whether it takes back."""

    __slots__ = ("exclusion", "matches", "parts", "text")

    def __init__(self, text: str, *, exclusion: bool) -> None:
        _glob(text)  # upstream checks the syntax this way, before giving ** a meaning
        self.text = text
        self.exclusion = exclusion
        self.parts = text.split("/")
        self.matches = _compile(text)

    def may_match_below(self, directory: str) -> bool:
        """Whether it can match something inside `directory`, given that it does not match the directory itself."""
        names = directory.split("/")
        for part, name in zip(self.parts, names, strict=False):
            if "**" in part:
                return True
            if not match(part, name):
                return False
        return len(self.parts) > len(names)


def _compile(text: str) -> Callable[[str], bool]:
    """The matching function of a cleaned pattern, mirroring the choices of moby/patternmatcher's `compile`."""
    out: list[str] = []
    special = False
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "*" and text.startswith("*", position):
            leading = position == 1
            position += 1
            position += text.startswith("/", position)
            rest = text[position:]
            if leading and not _is_special(rest):
                return _suffix(text[2:])
            if not rest and not special:
                return _prefix(text[:-2])
            out.append("(?:.*/)?" if rest else ".*")
            special = True
        elif char == "*":
            out.append("[^/]*")
            special = True
        elif char == "?":
            out.append("[^/]")
            special = True
        elif char == "\\":
            out.append(re.escape(text[position]))
            position += 1
            special = True
        elif char == "[":
            piece, position = _class(text, position, ordered=True)
            out.append(piece)
            special = True
        else:
            out.append(re.escape(char))
    if not special:
        return text.__eq__
    found = re.compile("".join(out), re.DOTALL).fullmatch
    return lambda path: found(path) is not None


def _is_special(text: str) -> bool:
    return any(char in text for char in "*?[]\\")


def _prefix(prefix: str) -> Callable[[str], bool]:
    return lambda path: path.startswith(prefix)


def _suffix(suffix: str) -> Callable[[str], bool]:
    bare = suffix.removeprefix("/")
    return lambda path: path.endswith(suffix) or path == bare


class PatternMatcher:
    """An ordered list of patterns, as in a `.dockerignore` file.

    Blank patterns are dropped, the others trimmed and cleaned (`a//b/` is `a/b`).

    Args:
        patterns: in order; `!` in front takes back what an earlier one matched.

    Raises:
        DefinitionError: a malformed pattern, or a lone `!`.

    Example:
        >>> ignored = PatternMatcher(["docs", "!docs/README.md"])
        >>> ignored.matches("docs/a/b"), ignored.matches("docs/README.md")
        (True, False)
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [found for text in patterns if (found := _parse(text)) is not None]
        self.exclusions = any(pattern.exclusion for pattern in self._patterns)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def matches(self, path: str) -> bool:
        """Whether the list matches `path` (relative, slashes) or one of its parents, and does not take it back."""
        return self.matches_using_parents(path, None)[0]

    def matches_using_parents(self, path: str, parent: ParentState | None) -> tuple[bool, ParentState]:
        """As `matches`, for walking a tree.

        Args:
            path: relative to the root of the walk.
            parent: the state returned for the directory of `path`; None at the top, or when it is not known.

        Returns:
            the answer, and the state to pass for what is inside `path`.
        """
        matched = False
        state: list[bool] = []
        parents = _parents(path) if parent is None else ()
        for position, pattern in enumerate(self._patterns):
            hit = parent is not None and parent[position]
            if not hit and pattern.exclusion == matched:
                hit = pattern.matches(path) or any(pattern.matches(directory) for directory in parents)
            state.append(hit)
            if hit:
                matched = not pattern.exclusion
        return matched, tuple(state)

    def is_settled(self, directory: str, matched: bool) -> bool:
        """Whether everything inside `directory` surely gets the same answer as it got, so that nobody need look.

        Args:
            directory: relative path.
            matched: the answer for the directory itself.
        """
        return not any(
            pattern.exclusion == matched and pattern.may_match_below(directory) for pattern in self._patterns
        )


def _parse(text: str) -> _Pattern | None:
    text = text.strip()
    if not text:
        return None
    text = _clean(text)
    exclusion = text.startswith("!")
    if exclusion:
        text = text[1:]
        if not text:
            raise DefinitionError('illegal exclusion pattern: "!"')
    return _Pattern(text, exclusion=exclusion)


def _clean(path: str) -> str:
    """Go's `filepath.Clean`; unlike posixpath's it does not keep two leading slashes."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _parents(path: str) -> Sequence[str]:
    """The directories above `path`, outermost first, spelled as upstream splits them."""
    directory = _clean(path[: path.rfind("/") + 1] or ".")
    if directory == ".":
        return ()
    parts = directory.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]
