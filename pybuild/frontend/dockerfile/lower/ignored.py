"""What `.dockerignore` leaves out, for the rule that warns of copying it."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import normpath

from pybuild.errors import DefinitionError, FrontendError
from pybuild.ignorefile import NAME as IGNORE_FILE
from pybuild.patterns import PatternMatcher

_EVERYTHING = frozenset({"*", "**", "**/*"})


class Ignored:
    """The patterns of an ignore file.

    Args:
        patterns: in order.

    Raises:
        FrontendError: one is malformed.

    Example:
        >>> Ignored(["*.log"]).matches("a.log")
        True
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        try:
            self._matcher = PatternMatcher(patterns)
        except DefinitionError as error:
            raise FrontendError("syntax error in pattern", hint=f"{IGNORE_FILE}: {error.message}") from None
        self.exclusions = self._matcher.exclusions
        self.ignores_all = any(normpath(pattern.strip()) in _EVERYTHING for pattern in patterns)

    def matches(self, path: str) -> bool:
        """Whether a path, relative to the context, is left out."""
        return self._matcher.matches(path)
