"""`.dockerignore`: which files of a context are never looked at. Syntax of moby/patternmatcher's ignorefile."""

from __future__ import annotations

import posixpath

NAME = ".dockerignore"
_BOM = "\ufeff"


def parse_ignore_file(text: str) -> list[str]:
    r"""The patterns of an ignore file, in order, as `PatternMatcher` takes them.

    Example:
        >>> parse_ignore_file("# comment\n/dist\n!dist/keep/\n\n  *.pyc  \n")
        ['dist', '!dist/keep', '*.pyc']
    """
    patterns: list[str] = []
    for line in text.removeprefix(_BOM).split("\n"):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        if not pattern:
            continue
        negated = pattern.startswith("!")
        pattern = pattern[1:].strip() if negated else pattern
        if pattern:
            pattern = posixpath.normpath(pattern)
            pattern = pattern[1:] if pattern.startswith("//") else pattern
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append(f"!{pattern}" if negated else pattern)
    return patterns
