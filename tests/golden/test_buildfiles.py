"""Each Buildfile under buildfiles/ gives exactly the graph and config written beside it in graph.txt.

After a wanted change: `PYBUILD_GOLDEN_UPDATE=1 python -m pytest tests/golden`, then review the difference.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import attrs
import pytest

from pybuild import State, load_buildfile
from pybuild.llb.files import MkfileAction
from pybuild.llb.node import Node
from pybuild.protocols import ImagePatch

CASES = Path(__file__).parent / "buildfiles"
LONG = 200
PYTHON = f"'{sys.version_info[0]}.{sys.version_info[1]}'"
"""What a step that calls a Python function asks for."""


def shown(value: object) -> object:
    """A value of the graph without what is at its default, and long contents by length only."""
    if isinstance(value, Node):
        fields = {field.name: field for field in attrs.fields(type(value)) if field.init}
        if isinstance(value, MkfileAction) and len(value.data) > LONG:
            return f"MkfileAction({value.path}: long)"
        parts = [
            f"{name}={shown(getattr(value, name))}"
            for name, field in fields.items()
            if field.default is attrs.NOTHING or getattr(value, name) != field.default
        ]
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, tuple):
        return "(" + ", ".join(str(shown(each)) for each in value) + ")"
    return repr(value)


def describe(state: State, directory: Path) -> str:
    lines: list[str] = []
    graph = state.graph()
    number = {id(vertex): index for index, vertex in enumerate(graph.vertices)}
    for index, vertex in enumerate(graph.vertices):
        inputs = ", ".join(f"{number[id(edge.vertex)]}:{edge.output}" for edge in vertex.inputs)
        lines.append(f"{index} <- [{inputs}] {vertex.name}")
        lines.append(f"    {shown(vertex.op)}")
        if vertex.constraints.platform:
            lines.append(f"    platform {vertex.constraints.platform}")
        metadata = str(shown(vertex.metadata)).replace(str(directory), "<directory>")
        lines.append(f"    {metadata}")
        lines.append(f"    lines {vertex.locations[0].all_ranges}")
    patch = attrs.asdict(state.patch, recurse=False)
    default = attrs.asdict(ImagePatch(), recurse=False)
    lines += [f"{name} = {value!r}" for name, value in patch.items() if value != default[name]]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if path.is_dir()))
def test_buildfile(case: str) -> None:
    directory = CASES / case
    text = describe(load_buildfile(directory).state(), directory).replace(PYTHON, "'<python>'")
    expected = directory / "graph.txt"
    if os.environ.get("PYBUILD_GOLDEN_UPDATE"):
        expected.write_text(text)
    assert text == expected.read_text()
