"""The user's files and lines as a wire source map: texts once each, ranges by op.

Texts of Python files and notebook cells come from `linecache`; a frontend's own files (Dockerfiles) come with the
location. Mirrors client/llb/sourcemap.go.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterable

from pybuild.digest import Digest
from pybuild.llb.definition import SourceMap, WireLocation
from pybuild.location import Location, SourceText, display_path

PYTHON = "Python"


class SourceMapBuilder:
    """Collects the locations of ops while a graph is marshalled."""

    def __init__(self) -> None:
        self._texts: list[SourceText] = []
        self._by_content: dict[tuple[str, str, bytes], int] = {}
        self._by_file: dict[str, int] = {}
        self._by_key: dict[tuple[object, ...], tuple[WireLocation, ...]] = {}
        self._locations: dict[Digest, tuple[WireLocation, ...]] = {}

    def add(self, digest: Digest, locations: Iterable[Location]) -> None:
        """Note that the op `digest` was written at `locations` (too): an op without any has an empty entry."""
        places = self._places(tuple(locations))
        known = self._locations.get(digest)
        self._locations[digest] = places if known is None else (*known, *places)

    def _places(self, locations: tuple[Location, ...]) -> tuple[WireLocation, ...]:
        """The places, one object for all vertices that a loop makes at one line."""
        key = tuple([location.key for location in locations])
        found = self._by_key.get(key)
        if found is None:
            found = tuple([(self._number(location), location.spans) for location in locations])
            if None not in key:
                self._by_key[key] = found
        return found

    def build(self) -> SourceMap:
        """The source map of everything added."""
        return SourceMap(infos=tuple(self._texts), locations=self._locations)

    def _number(self, location: Location) -> int:
        if location.text is not None:
            return self._text(location.text)
        number = self._by_file.get(location.file)
        if number is None:
            number = self._by_file[location.file] = self._text(python_text(location.file))
        return number

    def _text(self, text: SourceText) -> int:
        """The number of a text. What brings a file in does not make it another one; the first definition is kept."""
        key = (text.filename, text.language, text.data)
        number = self._by_content.setdefault(key, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
        return number


def python_text(file: str) -> SourceText:
    """A Python file or notebook cell, as its code objects call it; empty when the text is gone."""
    data = "".join(linecache.getlines(file)).encode(errors="replace")
    return SourceText(display_path(file), data, PYTHON)
