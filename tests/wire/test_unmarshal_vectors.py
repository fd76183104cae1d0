"""Every definition of the vectors, read and written again: the same bytes, with and without what was read kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybuild.llb.definition import Definition
from pybuild.llb.marshal import marshal
from pybuild.llb.unmarshal import unmarshal
from pybuild.llb.vertex import Graph
from pybuild.llb.walk import rewrite
from tests.wire.cases import ops_of

VECTORS = Path(__file__).parent.parent / "vectors"
LLB = [path for path in sorted(VECTORS.glob("llb/*.json")) if "definition" in json.loads(path.read_text())]


@pytest.mark.parametrize("path", LLB, ids=lambda path: path.stem)
def test_same_bytes(path: Path) -> None:
    definition = ops_of(json.loads(path.read_text())["definition"])
    graph = unmarshal(definition)
    assert marshal(graph).ops == definition.ops
    assert marshal(encoded_anew(graph)).ops == definition.ops


@pytest.mark.parametrize("path", LLB, ids=lambda path: path.stem)
def test_metadata_is_kept(path: Path) -> None:
    definition = ops_of(json.loads(path.read_text())["definition"])
    assert marshal(unmarshal(definition)).metadata == definition.metadata


def test_authored_definitions() -> None:
    found = 0
    for path in sorted(VECTORS.glob("authored/*/expected.json")):
        for result in json.loads(path.read_text()).get("results", ()):
            definition = ops_of(result["definition"])
            graph = unmarshal(definition)
            assert marshal(encoded_anew(graph)).ops == definition.ops, path
            again = marshal(graph)
            assert (again.ops, again.metadata) == (definition.ops, definition.metadata), path
            assert Definition.from_bytes(again.to_bytes()) == again
            found += 1
    assert found > 250


def encoded_anew(graph: Graph) -> Graph:
    """The graph without the bytes it was read from."""
    return rewrite(graph, lambda vertex: vertex.replace(op=vertex.op))
