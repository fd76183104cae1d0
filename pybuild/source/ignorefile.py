"""The `.dockerignore` of a directory."""

from __future__ import annotations

from pathlib import Path

from pybuild.errors import SourceFetchError
from pybuild.ignorefile import NAME, parse_ignore_file


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
