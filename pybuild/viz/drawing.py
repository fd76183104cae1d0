"""`Drawing`: a graph that can be shown in a notebook, printed, or written to a file in any form."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import attrs

from pybuild.errors import ArgumentError
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
_RENDERED: Final = ("svg", "png", "pdf")


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

                return to_dot(self.model).encode()
            case "mermaid":
                from pybuild.viz.mermaid import to_mermaid

                return to_mermaid(self.model).encode()
            case "text":
                from pybuild.viz.text import to_text

                return (to_text(self.model) + "\n").encode()
            case "html":
                from pybuild.viz.html import to_html

                return to_html(self.model).encode()
            case "json":
                return (json.dumps(attrs.asdict(self.model), indent=2) + "\n").encode()
            case _:
                from pybuild.viz.dot import to_dot
                from pybuild.viz.render import render

                return render(to_dot(self.model), format)

    @property
    def data(self) -> bytes:
        """The drawing in its own format."""
        return self.as_format(self.format)

    @property
    def text(self) -> str:
        """The drawing in its own format, as text; PNG and PDF have none."""
        return self.data.decode()

    def save(self, path: Path | str) -> None:
        """Write the drawing; the suffix decides the format. The file is replaced as a whole.

        Raises:
            ArgumentError: unknown suffix.
            EngineUnavailable: graphviz is needed and missing.
        """
        target = Path(path)
        data = self.as_format(format_of(target))
        staging = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
        staging.write_bytes(data)
        staging.replace(target)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Drawing of {len(self.graph)} steps as {self.format}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from pybuild.viz.render import can_render
        from pybuild.viz.text import to_text

        bundle = {"text/plain": to_text(self.model)}
        if can_render():
            bundle["image/svg+xml"] = self.as_format("svg").decode()
        return bundle
