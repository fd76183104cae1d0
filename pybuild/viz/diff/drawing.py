"""`DiffDrawing`: a comparison that can be shown in a notebook, printed, or written to a file in any form.

What a notebook or `print` asks for never raises: a picture that cannot be made is left out.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final, Protocol

from pybuild.errors import ArgumentError, PybuildError
from pybuild.llb.vertex import Graph
from pybuild.protocols import ImagePatch
from pybuild.viz.diff.compare import Side, diff
from pybuild.viz.diff.model import GraphDiff

_SUFFIXES: Final = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".md": "markdown",
    ".txt": "text",
    ".html": "html",
    ".json": "json",
}
FORMATS: Final = tuple(_SUFFIXES.values())
_BINARY: Final = ("png", "pdf")


def format_of(path: Path) -> str:
    """The format that a file's suffix stands for.

    Raises:
        ArgumentError: none.

    Example:
        >>> format_of(Path("comment.md"))
        'markdown'
    """
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ArgumentError(f'"{path}" has no known suffix', hint=f"use one of {', '.join(_SUFFIXES)}")
    return found


class HasGraph(Protocol):
    """What has a graph and changes an image config: a State."""

    def graph(self) -> Graph:
        """The graph."""
        ...

    @property
    def patch(self) -> ImagePatch:
        """The changes."""
        ...


def graph_diff(left: HasGraph | Graph, right: HasGraph | Graph, *, format: str = "text") -> DiffDrawing:  # noqa: A002
    """Compare two states, or two graphs; a notebook shows the comparison as a picture.

    Files of local directories are not looked at: both sides are defined by what is here now.

    Args:
        left: the first one, as it was.
        right: the second one.
        format: what `str` and `data` of the comparison give.

    Raises:
        ArgumentError: an unknown format, or something that has no graph.

    Example:
        >>> from pybuild import image
        >>> base = image("alpine")
        >>> graph_diff(base.run("make"), base.run("make all"))
        <DiffDrawing: 1 changed, 1 unchanged>
    """
    return DiffDrawing(diff(_side(left, "left"), _side(right, "right")), format=format)


def _side(value: HasGraph | Graph, label: str) -> Side:
    if isinstance(value, Graph):
        return Side(graph=value, label=label)
    try:
        return Side(graph=value.graph(), label=label, patch=value.patch)
    except AttributeError:
        kind = type(value).__name__
        raise ArgumentError(
            f"graph_diff(): {label} must be a State or a Graph, not {kind}", hint="call targets: graph_diff(app(), ...)"
        ) from None


class DiffDrawing:
    """A comparison in every form.

    Args:
        found: what to show.
        format: what `data`, `text` and `str` give.

    Raises:
        ArgumentError: an unknown format.
    """

    def __init__(self, found: GraphDiff, *, format: str = "text") -> None:  # noqa: A002
        if format not in FORMATS:
            raise ArgumentError(
                f'there is no format "{format}"', hint=f"use one of {', '.join(dict.fromkeys(FORMATS))}"
            )
        self.diff = found
        self.format = format

    def as_format(self, format: str) -> bytes:  # noqa: A002
        """The comparison in one of FORMATS. Raises EngineUnavailable when graphviz is needed and missing."""
        match format:
            case "text":
                from pybuild.viz.diff.text import to_text

                text = to_text(self.diff) + "\n"
            case "json":
                from pybuild.viz.diff.jsonform import to_json

                text = to_json(self.diff) + "\n"
            case "markdown":
                from pybuild.viz.diff.markdown import to_markdown

                text = to_markdown(self.diff)
            case "mermaid":
                from pybuild.viz.diff.mermaid import to_mermaid

                text = to_mermaid(self.diff)
            case "html":
                from pybuild.viz.diff.html import to_html

                text = to_html(self.diff)
            case "dot":
                from pybuild.viz.diff.dot import to_dot

                text = to_dot(self.diff)
            case _:
                from pybuild.viz.diff.dot import to_dot
                from pybuild.viz.render import render

                return render(to_dot(self.diff), format)
        return text.encode(errors="replace")

    @property
    def data(self) -> bytes:
        """The comparison in its own format."""
        return self.as_format(self.format)

    @property
    def text(self) -> str:
        """The comparison in its own format, as text.

        Raises:
            ArgumentError: PNG and PDF are no text.
            EngineUnavailable: graphviz is needed and missing.
        """
        if self.format in _BINARY:
            raise ArgumentError(f"{self.format} is no text", hint="use .data, or .save(path)")
        return self.data.decode()

    def save(self, path: Path | str, format: str = "") -> None:  # noqa: A002
        """Write the comparison. The file is replaced as a whole.

        Args:
            path: the file; its suffix decides the format.
            format: one of FORMATS, whatever the suffix.

        Raises:
            ArgumentError: unknown suffix.
            EngineUnavailable: graphviz is needed and missing.
        """
        target = Path(path)
        data = self.as_format(format or format_of(target))
        staging = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
        staging.write_bytes(data)
        staging.replace(target)

    def __str__(self) -> str:
        try:
            return self.text
        except PybuildError:
            return repr(self)

    def __repr__(self) -> str:
        return f"<DiffDrawing: {self.diff.summary}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        # A notebook must show something even when graphviz is missing or fails: hence no exception leaves.
        for kind, form in (("text/plain", "text"), ("text/markdown", "markdown"), ("image/svg+xml", "svg")):
            with contextlib.suppress(Exception):
                bundle[kind] = self.as_format(form).decode()
        return bundle
