"""`.dockerignore`: which files of a context are never looked at. Syntax of moby/patternmatcher's ignorefile."""

from __future__ import annotations

import posixpath
from pathlib import Path

from pybuild.errors import SourceFetchError

NAME = ".dockerignore"
_BOM = "\ufeff"


def parse_ignore_file(text: str) -> list[str]:
    r"""The patterns of an ignore file, in order, as `PatternMatcher` takes them.

    Example:
        >>> parse_ignore_file("# comment\n/dist\n!dist/keep/\n\n  *.pyc  \n")
        ['dist', '!dist/keep', '*.pyc']
    """
    patterns: list[str] = []
    for line in text.removeprefix(_BOM).splitlines():
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


def read_ignore_file(directory: Path) -> list[str]:
    """The patterns of the ignore file in `directory`; none when there is no such file.

    Raises:
        SourceFetchError: it cannot be read.
    """
    try:
        text = (directory / NAME).read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SourceFetchError(f'cannot read "{directory / NAME}": {error.strerror}') from error
    return parse_ignore_file(text)
