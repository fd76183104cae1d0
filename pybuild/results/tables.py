"""Values that are tables: aligned text for `print`, HTML for notebooks. Both show the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

_SHOWN: Final = 200
"""How many rows a notebook shows; the values themselves are complete."""
_CELL: Final = "padding: 1px 12px 1px 0; text-align: {}; vertical-align: top; white-space: pre-wrap;"
_COLORS: Final = {
    "ran": "#2e8540",
    "added": "#2e8540",
    "cached": "#6e7681",
    "failed": "#c62828",
    "removed": "#c62828",
    "changed": "#9a6700",
    "canceled": "#b26a00",
}


def text_table(heading: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    r"""Rows as aligned columns.

    Args:
        heading: the names of the columns.
        rows: the cells.
        right: columns that are aligned to the right.

    Example:
        >>> text_table(["NAME", "SIZE"], [["a", "10"]], right=[1])
        'NAME  SIZE\na       10'
    """
    every = [heading, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(heading))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    )


def html_table(heading: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """The same as HTML; words for states are coloured, and long tables end with how much is left out.

    Example:
        >>> "<td" in html_table(["NAME"], [["<a>"]]) and "&lt;a&gt;" in html_table(["NAME"], [["<a>"]])
        True
    """
    head = "".join(_cell("th", name.lower(), column in right) for column, name in enumerate(heading))
    body = "".join(
        "<tr>" + "".join(_cell("td", cell, column in right) for column, cell in enumerate(row)) + "</tr>"
        for row in rows[:_SHOWN]
    )
    more = f"<p>and {len(rows) - _SHOWN} more</p>" if len(rows) > _SHOWN else ""
    return f'<table style="font-size: 12px; border-spacing: 0"><tr>{head}</tr>{body}</table>{more}'


def _cell(tag: str, text: str, right: bool) -> str:
    color = f" color: {_COLORS[text]}; font-weight: 600;" if tag == "td" and text in _COLORS else ""
    style = _CELL.format("right" if right else "left") + color
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'


def html_text(text: str) -> str:
    """Text as it is, in a box that scrolls when it is long."""
    style = "font-family: monospace; font-size: 12px; line-height: 1.35; max-height: 32em; overflow: auto; margin: 0"
    return f'<pre style="{style}">{escape(text)}</pre>'


def size_text(size: int) -> str:
    """A size for people; empty when it is not known.

    Example:
        >>> size_text(-1), size_text(12), size_text(2_500_000)
        ('', '12 B', '2.5 MB')
    """
    if size < 0:
        return ""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"
