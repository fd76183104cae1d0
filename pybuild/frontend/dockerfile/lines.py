"""Where in a Dockerfile something is written.

BuildKit locates everything in a Dockerfile by whole lines, and so do locations on the wire. A line number 0 means
"before the first line": BuildKit counts some errors of the parser from there.
"""

from __future__ import annotations

from typing import NamedTuple

from pybuild.location import Frame, Location


class Lines(NamedTuple):
    """The lines `first` to `last` (both included, counted from 1) of one Dockerfile.

    Example:
        >>> Lines(3, 5).ranges
        ((3, 0, 3, 0), (4, 0, 4, 0), (5, 0, 5, 0))
    """

    first: int
    last: int

    @property
    def ranges(self) -> tuple[tuple[int, int, int, int], ...]:
        """As on the wire: (start line, start character, end line, end character) of each line."""
        return tuple((line, 0, line, 0) for line in range(self.first, self.last + 1))

    def location(self, file: str = "Dockerfile") -> Location:
        """These lines of `file`, for errors and vertices."""
        return Location((Frame(file, "<module>", self.first, self.last),))
