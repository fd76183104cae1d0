"""The two forms of an answer: JSON as Go's `MarshalIndent` writes it, and tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence

from pybuild.frontend.dockerfile.gotext import html_escaped, valid
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.location import SourceText


def json_text(document: Mapping[str, object]) -> str:
    r"""JSON with two blanks of indentation, HTML characters escaped.

    Example:
        >>> json_text({"a": "<"})
        '{\n  "a": "\\u003c"\n}'
    """
    return html_escaped(valid(json.dumps(document, indent=2, ensure_ascii=False)))


def without_empty(**fields: object) -> dict[str, object]:
    """The fields that have a value: what `omitempty` leaves."""
    return {name: value for name, value in fields.items() if value not in ("", False, None) and value != []}


def base64_text(data: bytes) -> str:
    """Bytes as JSON has them."""
    return base64.b64encode(data).decode("ascii")


def included_in(places: Iterable[Lines]) -> tuple[SourceText, ...]:
    """The included files that places are in, each once."""
    return tuple(dict.fromkeys(lines.text for lines in places if lines.text is not None))


def sources_base64(data: bytes, included: Sequence[SourceText]) -> list[str]:
    """The Dockerfile, then what it includes."""
    return [base64_text(data), *(base64_text(text.data) for text in included)]


def located(lines: Lines, included: Sequence[SourceText]) -> dict[str, object]:
    """The location of an instruction, line by line; `sourceIndex` counts the Dockerfile as 0 and is left out then."""
    index = 0 if lines.text is None else included.index(lines.text) + 1
    return without_empty(sourceIndex=index or None) | location(line_by_line(lines))


def location(places: Iterable[Lines]) -> dict[str, object]:
    """A location in the file: one range per line, or per place as it is given; a line 0 is left out."""
    return without_empty(
        ranges=[
            {"start": without_empty(line=lines.first or None), "end": without_empty(line=lines.last or None)}
            for lines in places
        ]
    )


def line_by_line(lines: Lines) -> tuple[Lines, ...]:
    """One place per line."""
    return tuple(Lines(line, line) for line in range(lines.first, lines.last + 1))


def table(rows: Sequence[Sequence[str]], padding: int) -> str:
    r"""Left-aligned columns, `padding` blanks apart; the last column has none behind it.

    Example:
        >>> table([("A", "B"), ("long", "x")], 1)
        'A    B\nlong x\n'
    """
    widths = [max(map(len, column)) + padding for column in zip(*rows, strict=True)][:-1]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[-1] + "\n" for row in rows
    )
