"""Where in the user's files something was written.

A `Location` is evidence for people, never identity: it takes no part in digests or equality of graphs. It is a
few user frames (innermost first), found by walking outward from the API call and skipping every frame whose code
lies in this package. Line and column numbers come from the code object's position table only when somebody looks
at them, so capturing costs well under a microsecond per frame.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

_PACKAGE = str(Path(__file__).parent) + os.sep
_MAX_FRAMES = 4
_NOTEBOOK_PACKAGES = ("IPython", "ipykernel")
_skipped_prefixes: list[str] = [_PACKAGE]
_is_user_file: dict[str, bool] = {}
_runners: set[str] = set()
"""Files of what runs a notebook's cells: it, and what is outside of it, called everything, which helps nobody."""
_MAX_KNOWN_FRAMES = 10_000


class Frame(NamedTuple):
    """One position: a file and a range in it. Lines count from 1, columns from 0 (-1: unknown)."""

    file: str
    function: str
    line: int
    end_line: int
    column: int = -1
    end_column: int = -1

    def __str__(self) -> str:
        return f"{display_path(self.file)}:{self.line}"


_frames: dict[tuple[int, int], tuple[CodeType, Frame]] = {}
"""Positions by code object and instruction; each entry keeps its code object, so that the id stays its own."""


_locations: dict[tuple[int, ...], tuple[tuple[tuple[CodeType, int], ...], Location]] = {}
"""Locations by the stack that they stand for; each entry keeps its code objects, so that the ids stay their own."""


class Span(NamedTuple):
    """A range of a text. Lines count from 1, characters from 0; no character is known where all are 0."""

    line: int
    character: int
    end_line: int
    end_character: int


class SourceText(NamedTuple):
    """A text that locations point into and that travels with them.

    `language` is a name of github/linguist, such as `Dockerfile`. `definition` is the wire form of a graph that brings
    the file in, or empty.
    """

    filename: str
    data: bytes
    language: str = ""
    definition: bytes = b""

    @property
    def lines(self) -> list[str]:
        """The lines of the text, without line ends."""
        return self.data.decode(errors="replace").splitlines()


class Location:
    """A position in the user's code and how it was reached.

    Args:
        frames: the position itself first, then up to three of its callers.
        ranges: further (first line, last line) ranges of the same file that belong to it, such as the `.mount()`
            calls of a run.
        text: the text of the file where it is no Python source that can be read again; see `within`.
        spans: the exact ranges in `text`.

    Example:
        >>> Location([Frame("Buildfile.py", "app", 14, 14)])
        <Location Buildfile.py:14 in app>
    """

    __slots__ = ("_frames", "_pending", "_spans", "ranges", "text")

    def __init__(
        self,
        frames: list[Frame] | tuple[Frame, ...],
        ranges: tuple[tuple[int, int], ...] = (),
        text: SourceText | None = None,
        spans: tuple[Span, ...] = (),
    ) -> None:
        self._frames: tuple[Frame, ...] | None = tuple(frames)
        self._pending: tuple[tuple[CodeType, int], ...] = ()
        self._spans = spans
        self.ranges = ranges
        self.text = text

    @classmethod
    def within(cls, text: SourceText, spans: Iterable[Span], function: str = "") -> Location:
        r"""A location in a text that is not Python: lines of a Dockerfile, of a definition from elsewhere.

        Args:
            text: the whole text; all locations in it may share the object.
            spans: the ranges; there may be none.
            function: what the lines belong to, such as a stage.

        Example:
            >>> Location.within(SourceText("Dockerfile", b"FROM a\nRUN b"), [Span(2, 0, 2, 5)]).snippet(0)
            [(2, True, 'RUN b')]
        """
        found = tuple(spans)
        first = found[0] if found else Span(0, 0, 0, 0)
        frame = Frame(text.filename, function, first.line, max(first.line, first.end_line))
        ranges = tuple((span.line, max(span.line, span.end_line)) for span in found[1:])
        return cls((frame,), ranges, text, found)

    @property
    def key(self) -> tuple[int, int] | None:
        """The same for all locations at one instruction, as long as that lives; None where nothing is known to be."""
        if self.ranges or self.text is not None:
            return None
        if self._pending:
            code, lasti = self._pending[0]
            return id(code), lasti
        return id(self.frames[0]), -1

    @property
    def spans(self) -> tuple[Span, ...]:
        """All ranges, exactly where that is known, by whole lines otherwise."""
        if self.text is not None:
            return self._spans
        return tuple(Span(first, 0, last, 0) for first, last in self.all_ranges)

    @classmethod
    def of_code(cls, pending: tuple[tuple[CodeType, int], ...]) -> Location:
        """The location of instructions, innermost first, as (code, offset); looked up when somebody asks for lines."""
        location = cls.__new__(cls)
        location._frames = None
        location._pending = pending
        location._spans = ()
        location.ranges = ()
        location.text = None
        return location

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The position and its callers, innermost first; never empty for a captured location."""
        if self._frames is None:
            self._frames = tuple([_frame(code, lasti) for code, lasti in self._pending])
            self._pending = ()
        return self._frames

    @property
    def file(self) -> str:
        """The file as Python names it: a path, or a name such as `<ipython-input-3-...>`."""
        return self.frames[0].file

    @property
    def line(self) -> int:
        """First line, from 1."""
        return self.frames[0].line

    @property
    def all_ranges(self) -> tuple[tuple[int, int], ...]:
        """The (first line, last line) of the position itself, then `ranges`."""
        frame = self.frames[0]
        return ((frame.line, frame.end_line), *self.ranges)

    def with_range(self, other: Location) -> Location:
        """This location with the lines of `other` added as one more range (when they are of the same file)."""
        frame = other.frames[0]
        added = ((frame.line, frame.end_line),) if frame.file == self.file else ()
        spans = (*self._spans, *other._spans) if added else self._spans
        return Location(self.frames, (*self.ranges, *added), self.text, spans)

    def snippet(self, context: int = 1) -> list[tuple[int, bool, str]]:
        """The source lines around the location as (number, marked, text); empty when the source is gone.

        Args:
            context: how many lines before and after each range.
        """
        ranges = self.all_ranges
        marked = {number for first, last in ranges for number in range(first, last + 1)}
        shown = {number for first, last in ranges for number in range(first - context, last + context + 1)}
        lines = source_lines(self.file) if self.text is None else self.text.lines
        return [(n, n in marked, lines[n - 1]) for n in sorted(shown) if 0 < n <= len(lines)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Location):
            return NotImplemented
        mine = (self.frames, self.ranges, self._spans, self.text)
        return mine == (other.frames, other.ranges, other._spans, other.text)

    def __hash__(self) -> int:
        return hash((self.frames, self.ranges))

    def __str__(self) -> str:
        return str(self.frames[0])

    def __repr__(self) -> str:
        return f"<Location {self} in {self.frames[0].function}>"

    def __reduce__(self) -> tuple[object, ...]:
        return Location, (self.frames, self.ranges, self.text, self._spans)


def capture(callers: int = _MAX_FRAMES - 1) -> Location:
    """The location of the innermost user code on the stack.

    Args:
        callers: how many of its callers to keep: looking for them costs more than the rest.

    Frames of this package, and of prefixes given to `skip_prefix`, are passed over. Where no user frame exists
    (an embedded interpreter, `python -c`) the outermost frame is taken.

    Example:
        >>> capture().file.startswith("<doctest")
        True
    """
    found: list[tuple[CodeType, int]] = []
    key: list[int] = []
    outermost = sys._getframe(1)
    frame: FrameType | None = outermost
    while frame is not None and len(found) <= callers:
        code = frame.f_code
        user = _is_user_file.get(code.co_filename)
        if user is None:
            user = _classify(code.co_filename)
        if user:
            found.append((code, frame.f_lasti))
            key += (id(code), frame.f_lasti)
        elif found and code.co_filename in _runners:
            break
        outermost, frame = frame, frame.f_back
    if not found:
        found.append((outermost.f_code, outermost.f_lasti))
        key += (id(outermost.f_code), outermost.f_lasti)
    return _location(tuple(key), tuple(found))


def _location(key: tuple[int, ...], found: tuple[tuple[CodeType, int], ...]) -> Location:
    """The location of a stack. All that a loop makes at one place share it."""
    known = _locations.get(key)
    if known is None:
        if len(_locations) >= _MAX_KNOWN_FRAMES:
            _locations.clear()
        known = _locations[key] = (found, Location.of_code(found))
    return known[1]


def is_own_code(filename: str) -> bool:
    """Whether code of this file belongs to pybuild (or to a plug-in given to `skip_prefix`), not to the user."""
    user = _is_user_file.get(filename)
    return not (_classify(filename) if user is None else user)


def skip_prefix(prefix: str) -> None:
    """Treat code below the path `prefix` as not the user's own (for plug-ins that wrap the API)."""
    _skipped_prefixes.append(prefix)
    _is_user_file.clear()


def _classify(filename: str) -> bool:
    stdlib_frozen = filename.startswith("<frozen")
    user = not stdlib_frozen and not any(filename.startswith(prefix) for prefix in _skipped_prefixes)
    if user and any(f"{os.sep}{name}{os.sep}" in filename for name in _NOTEBOOK_PACKAGES):
        _runners.add(filename)
        user = False
    _is_user_file[filename] = user
    return user


def _frame(code: CodeType, lasti: int) -> Frame:
    """The position of an instruction. Steps made in a loop share theirs, so it is looked up once."""
    key = (id(code), lasti)
    known = _frames.get(key)
    if known is None or known[0] is not code:
        if len(_frames) >= _MAX_KNOWN_FRAMES:
            _frames.clear()
        known = _frames[key] = (code, _frame_at(code, lasti))
    return known[1]


def _frame_at(code: CodeType, lasti: int) -> Frame:
    line = end_line = code.co_firstlineno
    column = end_column = -1
    for position, found in enumerate(code.co_positions()):
        if position == lasti // 2:
            line, end_line = found[0] or line, found[1] or found[0] or line
            column = -1 if found[2] is None else found[2]
            end_column = -1 if found[3] is None else found[3]
            break
    # A chained call spans from the chain's first line; the interpreter's line table knows the line of this method.
    own_line = _line_of(code, lasti) or line
    if own_line != line:
        line, column = own_line, -1
    return Frame(code.co_filename, code.co_name, line, max(line, end_line), column, end_column)


def _line_of(code: CodeType, lasti: int) -> int | None:
    for start, end, line in code.co_lines():
        if start <= lasti < end:
            return line
    return None


def source_lines(file: str) -> list[str]:
    """The lines of a source file, without line ends; notebook cells included, empty when it cannot be read."""
    return [line.rstrip("\n") for line in linecache.getlines(file)]


def display_path(file: str) -> str:
    """`file` as people should see it: relative to the working directory where that is shorter."""
    if not os.path.isabs(file):  # noqa: PTH117  # names such as <ipython-input-3> are no paths
        return file
    cell = _cell_name(file)
    if cell:
        return cell
    try:
        relative = str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file
    return relative


def _cell_name(file: str) -> str:
    """`In[3]` for the file that stands for a notebook's cell; empty for every other one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    number = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(file)
    return f"In[{number}]" if number is not None else ""
