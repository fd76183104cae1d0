"""What `.dockerignore` leaves out, for the rule that warns of copying it."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import normpath

from pybuild.patterns import PatternMatcher

_EVERYTHING = frozenset({"*", "**", "**/*"})


class Ignored:
    """The patterns of an ignore file.

    Args:
        patterns: in order.

    Example:
        >>> Ignored(["*.log"]).matches("a.log")
        True
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._matcher = PatternMatcher(patterns)
        self.exclusions = self._matcher.exclusions
        self.ignores_all = any(normpath(pattern.strip()) in _EVERYTHING for pattern in patterns)

    def matches(self, path: str) -> bool:
        """Whether a path, relative to the context, is left out."""
        return self._matcher.matches(path)
