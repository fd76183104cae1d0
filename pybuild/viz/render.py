"""Calls graphviz: DOT text in, SVG, PNG or PDF out."""

from __future__ import annotations

import shutil
import subprocess

from pybuild.errors import EngineUnavailable

FORMATS = ("svg", "png", "pdf")
_DPI = "110"


def render(dot: str, format: str) -> bytes:  # noqa: A002  # graphviz's word
    """Lay a graph out and draw it.

    Args:
        dot: DOT text.
        format: one of FORMATS.

    Raises:
        EngineUnavailable: graphviz is not installed, or failed.
    """
    program = require_graphviz(format)
    options = [f"-Gdpi={_DPI}"] if format == "png" else []
    done = subprocess.run(
        [program, f"-T{format}", *options], input=dot.encode(errors="replace"), capture_output=True, check=False
    )
    if done.returncode:
        raise EngineUnavailable(f"graphviz failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def require_graphviz(format: str) -> str:  # noqa: A002
    """The path of graphviz's `dot`.

    Raises:
        EngineUnavailable: it is not installed.
    """
    program = shutil.which("dot")
    if program is None:
        raise EngineUnavailable(
            f"drawing {format} needs graphviz, which is not installed",
            hint="install the package graphviz, or use the formats dot, mermaid, html or text",
        )
    return program


def can_render() -> bool:
    """Whether graphviz is there."""
    return shutil.which("dot") is not None
