"""How plain values look in a notebook: their text, as HTML. What has more to show has a form of its own."""

from __future__ import annotations

from typing import Protocol


class Shown:
    """A mixin: the text form of a value, escaped, as its HTML form.

    Example:
        >>> class Thing(Shown):
        ...     def __repr__(self) -> str:
        ...         return "<Thing>"
        >>> Thing()._repr_html_()
        '<code>&lt;Thing&gt;</code>'
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<code>{escape(repr(self))}</code>"


class Printer(Protocol):
    """What is used of IPython's printer."""

    def text(self, text: str) -> None:
        """Print it."""


def pretty_text(value: object, printer: Printer, cycle: bool) -> None:  # IPython's signature
    """A `_repr_pretty_` for values whose repr is only a summary: a notebook's text form is `str()` of the value."""
    printer.text(str(value))
