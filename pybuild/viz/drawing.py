"""`Drawing`: a graph that can be shown in a notebook, printed, or written to a file in any form.

What a notebook or `print` asks for never raises: a picture that cannot be made is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Final

import attrs

from pybuild.errors import ArgumentError, PybuildError
from pybuild.llb.vertex import Graph
from pybuild.protocols import StepResult
from pybuild.viz.model import Model, model_of

_SUFFIXES: Final = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".md": "mermaid",
    ".txt": "text",
    ".html": "html",
    ".json": "json",
}
FORMATS: Final = tuple(dict.fromkeys(_SUFFIXES.values()))
_BINARY: Final = ("png", "pdf")
NOTEBOOK_LIMIT: Final = 200
"""How many steps a notebook draws; larger graphs are only described."""


def format_of(path: Path) -> str:
    """The format that a file's suffix stands for.

    Raises:
        ArgumentError: none.

    Example:
        >>> format_of(Path("out/graph.svg"))
        'svg'
    """
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ArgumentError(f'"{path}" has no known suffix', hint=f"use one of {', '.join(_SUFFIXES)}")
    return found


class Drawing:
    """A drawing of a graph.

    Args:
        graph: what to draw.
        format: what `data`, `text` and `str` give.
        steps: how a build of this graph went, to show states and times.

    Raises:
        ArgumentError: an unknown format.
    """

    def __init__(self, graph: Graph, *, format: str = "svg", steps: Sequence[StepResult] = ()) -> None:  # noqa: A002
        if format not in FORMATS:
            raise ArgumentError(f'there is no format "{format}"', hint=f"use one of {', '.join(FORMATS)}")
        self.graph = graph
        self.format = format
        self._steps = tuple(steps)

    @cached_property
    def model(self) -> Model:
        """What is shown."""
        return model_of(self.graph, self._steps)

    def as_format(self, format: str) -> bytes:  # noqa: A002
        """The drawing in one of FORMATS. Raises EngineUnavailable when graphviz is needed and missing."""
        match format:
            case "dot":
                from pybuild.viz.dot import to_dot

                return to_dot(self.model).encode(errors="replace")
            case "mermaid":
                from pybuild.viz.mermaid import to_mermaid

                return to_mermaid(self.model).encode(errors="replace")
            case "text":
                from pybuild.viz.text import to_text

                return (to_text(self.model) + "\n").encode(errors="replace")
            case "html":
                from pybuild.viz.html import to_html

                return to_html(self.model, title=self._title()).encode(errors="replace")
            case "json":
                return (json.dumps(attrs.asdict(self.model), indent=2) + "\n").encode(errors="replace")
            case _:
                from pybuild.viz.dot import to_dot
                from pybuild.viz.render import render

                return render(to_dot(self.model), format)

    def _title(self) -> str:
        """The stage of the result, which has the name of its target."""
        heads = set(self.model.heads)
        stage = next((node.stage for node in self.model.nodes if node.number in heads), "")
        return stage or "graph"

    @property
    def data(self) -> bytes:
        """The drawing in its own format."""
        return self.as_format(self.format)

    @property
    def text(self) -> str:
        """The drawing in its own format, as text.

        Raises:
            ArgumentError: PNG and PDF are no text.
            EngineUnavailable: graphviz is needed and missing.
        """
        if self.format in _BINARY:
            raise ArgumentError(f"{self.format} is no text", hint="use .data, or .save(path)")
        return self.data.decode()

    @property
    def dot(self) -> str:
        """Graphviz text."""
        return self.as_format("dot").decode()

    @property
    def mermaid(self) -> str:
        """Mermaid text."""
        return self.as_format("mermaid").decode()

    def svg(self) -> str:
        """The picture as SVG text. Raises EngineUnavailable when graphviz is missing."""
        return self.as_format("svg").decode()

    def save(self, path: Path | str, format: str = "") -> None:  # noqa: A002
        """Write the drawing. The file is replaced as a whole.

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
        return f"<Drawing of {len(self.graph)} steps as {self.format}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        if len(self.graph) > NOTEBOOK_LIMIT:
            return {"text/plain": f"{self!r}, too many to show here; use .save(path)"}
        bundle = {"text/plain": repr(self)}
        # A notebook must show something even when graphviz is missing or fails: hence no exception leaves.
        with contextlib.suppress(Exception):
            text = bundle["text/plain"] = self.as_format("text").decode()
            bundle["text/html"] = f"<pre>{escape(text)}</pre>"
            svg = bundle["image/svg+xml"] = self.svg()
            bundle["text/html"] = svg[svg.index("<svg") :]
        return bundle
