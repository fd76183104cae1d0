"""Drawings of the Buildfiles under buildfiles/ are, byte for byte, what is written under drawings/.

`NAME.FORMAT` is the graph alone, `NAME-built.FORMAT` the graph with states and times. After a wanted change:
`PYBUILD_GOLDEN_UPDATE=1 python -m pytest tests/golden`, then review the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybuild import load_buildfile
from pybuild.llb.vertex import Graph
from pybuild.protocols import StepResult, StepState
from pybuild.viz.drawing import Drawing

BUILDFILES = Path(__file__).parent / "buildfiles"
DRAWINGS = Path(__file__).parent / "drawings"
STATES: tuple[StepState, ...] = ("cached", "done", "done", "failed", "canceled", "skipped")
SUFFIXES = {"dot": "dot", "mermaid": "mmd", "text": "txt", "json": "json"}


def outcome(graph: Graph) -> list[StepResult]:
    """Made-up results in which every state occurs."""
    return [
        StepResult(
            digest=vertex.digest,
            name=vertex.name,
            state=STATES[number % len(STATES)],
            started=0.0,
            duration=(0.0, 0.04, 3.456, 75.0)[number % 4],
            reason="equal definition and inputs" if number % len(STATES) == 0 else "",
        )
        for number, vertex in enumerate(graph.vertices)
    ]


def drawn(case: str, form: str, built: bool) -> bytes:
    graph = load_buildfile(BUILDFILES / case).state().graph()
    return Drawing(graph, format=form, steps=outcome(graph) if built else ()).data


@pytest.mark.parametrize("built", [False, True], ids=["plain", "built"])
@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.parametrize("case", ["go_server", "stages"])
def test_drawing(case: str, form: str, built: bool) -> None:
    made = drawn(case, form, built)
    assert drawn(case, form, built) == made
    expected = DRAWINGS / f"{case}{'-built' if built else ''}.{SUFFIXES[form]}"
    if os.environ.get("PYBUILD_GOLDEN_UPDATE"):
        expected.write_bytes(made)
    assert made.decode() == expected.read_text()
