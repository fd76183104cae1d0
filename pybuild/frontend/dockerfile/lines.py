"""Where in a Dockerfile something is written.

BuildKit locates everything in a Dockerfile by whole lines, and so do locations on the wire. A line number 0 means
"before the first line": BuildKit counts some errors of the parser from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pybuild.location import Frame, Location, SourceText, Span


class Lines(NamedTuple):
    """The lines `first` to `last` (both included, counted from 1) of one Dockerfile.

    Attributes:
        via: the lines that brought these in, such as those of an IMPORT; None for lines that stand for themselves.
        text: the file that they are in, where it is not the Dockerfile itself but one that was included.

    Example:
        >>> Lines(3, 5).ranges
        ((3, 0, 3, 0), (4, 0, 4, 0), (5, 0, 5, 0))
    """

    first: int
    last: int
    via: Lines | None = None
    text: SourceText | None = None

    @property
    def ranges(self) -> tuple[tuple[int, int, int, int], ...]:
        """As on the wire: (start line, start character, end line, end character) of each line."""
        return tuple((line, 0, line, 0) for line in range(self.first, self.last + 1))

    @property
    def chain(self) -> Iterator[Lines]:
        """These lines, then those that brought them in."""
        found: Lines | None = self
        while found is not None:
            yield found
            found = found.via

    def location(self, file: str = "Dockerfile") -> Location:
        """These lines of `file`, or of the file that they are in, for errors."""
        if self.text is not None:
            return Location.within(self.text, (Span(*span) for span in self.ranges))
        return Location((Frame(file, "<module>", self.first, self.last),))

    def locations(self, file: str = "Dockerfile") -> tuple[Location, ...]:
        """These lines of `file` first, then those that brought them in."""
        return tuple(lines.location(file) for lines in self.chain)

    def within(self, text: SourceText) -> tuple[Location, ...]:
        """The same within a text that travels with them, for vertices."""
        return tuple(
            Location.within(lines.text or text, (Span(*span) for span in lines.ranges)) for lines in self.chain
        )


#: No lines at all: where something is that no line of its own brings in, such as an image that COPY takes from.
NOWHERE: Final = Lines(0, -1)
