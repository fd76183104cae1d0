"""`--call check` (`--check`): what the lint rules find, and the error that would end a build."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from pybuild.errors import PybuildError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.calls.printing import (
    base64_text,
    included_in,
    json_text,
    line_by_line,
    located,
    location,
    without_empty,
)
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import LintWarning
from pybuild.location import SourceText

_RULER = "-" * 20 + "\n"


@attrs.frozen
class CheckResult:
    """The result of a check.

    Attributes:
        file: what to call the Dockerfile.
        data: its bytes.
        warnings: in the order in which they were found.
        error: what would end the build, if anything.
    """

    file: str
    data: bytes
    warnings: tuple[LintWarning, ...]
    error: PybuildError | None = None

    @property
    def status(self) -> int:
        """Exit code: 1 when anything was found."""
        return int(bool(self.warnings) or self.error is not None)

    def text(self) -> str:
        """What standard output gets; the error is not in it, see `error_text`."""
        if not self.warnings:
            return "" if self.error else "Check complete, no warnings found.\n"
        count = len(self.warnings)
        found = "1 warning has been found!" if count == 1 else f"{count} warnings have been found!"
        by_line = sorted(self.warnings, key=lambda warning: warning.lines.first)
        return f"Check complete, {found}\n" + "".join(self._warning(warning) for warning in by_line)

    def _warning(self, warning: LintWarning) -> str:
        url = f" - {warning.rule.url}" if warning.rule.url else ""
        text = warning.lines.text or SourceText(self.file, self.data)
        snippet = source_snippet(text.filename, text.data, line_by_line(warning.lines))
        return f"\nWARNING: {warning.rule.name}{url}\n{warning.message}\n{snippet}"

    def error_text(self) -> str:
        """The error with the lines that it is about; "" without one."""
        if self.error is None:
            return ""
        text = self._error_text()
        return f"{self.error.message}\n{source_snippet(text.filename, text.data, self._error_places())}"

    def _error_text(self) -> SourceText:
        """The file that the error is in: the Dockerfile, or one that it includes."""
        assert self.error is not None
        text = next((place.text for place in self.error.locations), None)
        return text or SourceText(self.file, self.data)

    def _error_places(self) -> tuple[Lines, ...]:
        assert self.error is not None
        name = self._error_text().filename
        files = ((place, self.file if place.text is None else place.text.filename) for place in self.error.locations)
        inside = [place for place, file in files if file == name]
        lines = (Lines(*found) for place in inside for found in place.all_ranges)
        return _merged(place for found in lines for place in line_by_line(found))

    def json(self) -> str:
        """All that was found, with the Dockerfile itself."""
        return json_text(self.document())

    def document(self) -> dict[str, object]:
        """What `json` prints."""
        included = included_in(warning.lines for warning in self.warnings)
        text = None if self.error is None else self._error_text()
        if text is not None and text.filename not in (self.file, *(known.filename for known in included)):
            included = (*included, text)
        warnings = [
            without_empty(
                ruleName=warning.rule.name,
                description=warning.rule.description,
                url=warning.rule.url,
                detail=warning.message,
                location=located(warning.lines, included),
            )
            for warning in self.warnings
        ]
        document: dict[str, object] = {
            "warnings": warnings or None,
            "sources": [
                without_empty(filename=source.filename, data=base64_text(source.data), language="Dockerfile")
                for source in (SourceText(self.file, self.data), *included)
            ],
        }
        if self.error is not None:
            names = [self.file, *(known.filename for known in included)]
            index = 0 if text is None else names.index(text.filename)
            place = without_empty(sourceIndex=index or None) | location(self._error_places())
            document["buildError"] = {"message": self.error.message, "location": place}
        return document


def _merged(places: Iterable[Lines]) -> tuple[Lines, ...]:
    """Sorted, each line once."""
    return tuple(sorted(set(places)))


def source_snippet(file: str, data: bytes, places: Sequence[Lines]) -> str:
    r"""The lines of `places` and a few around them, as `docker build` shows them; "" when there are none.

    Example:
        >>> print(source_snippet("Dockerfile", b"FROM a\nRUN b", [Lines(2, 2)]), end="")
        Dockerfile:2
        --------------------
           1 |     FROM a
           2 | >>> RUN b
        --------------------
    """
    lines = gotext.decode(data).split("\n")
    if not places:
        return ""
    first, last = min(place.first for place in places), max(place.last for place in places)
    if not 1 <= first <= len(lines):
        return ""
    start, end = _padded(first, min(last, len(lines)), len(lines))
    marked = {line for place in places for line in range(place.first, place.last + 1)}
    rows = "".join(_row(number, lines[number - 1], number in marked) for number in range(start, end + 1))
    return f"{file}:{first}\n{_RULER}{rows}{_RULER}"


def _row(number: int, text: str, marked: bool) -> str:
    return f" {number:3} | {'>>>' if marked else '   '} {text}\n"


def _padded(start: int, end: int, count: int) -> tuple[int, int]:
    """A range with lines around it: more before and after a single one."""
    wanted = 4 if start == end else 2
    padding = 0
    while padding < wanted:
        before, after = start > 1, end != count
        start -= before
        end += after
        padding += 1 + before + after
    return start, end
