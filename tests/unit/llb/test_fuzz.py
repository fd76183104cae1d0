"""Whatever bytes come in as a definition: a graph that is the same again, or one error that says what is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybuild.errors import DefinitionError
from pybuild.llb.definition import Definition
from pybuild.llb.marshal import marshal
from pybuild.llb.unmarshal import unmarshal
from pybuild.llb.vertex import Graph, summary
from tests.mutate_definitions import bombs, mutants

SMALL = [name for name, data in bombs() if len(data) < 1 << 20]


def read(data: bytes) -> Graph | None:
    """All that is done with a definition from outside; only the error of definitions may come out."""
    try:
        definition = Definition.from_bytes(data)
        graph = unmarshal(definition)
    except DefinitionError:
        return None
    again = marshal(graph)
    assert set(again.ops[:-1]) <= set(definition.ops)  # the last only names the result, and is written anew
    assert unmarshal(Definition.from_bytes(again.to_bytes())) == graph
    for vertex in graph.vertices:
        assert summary(vertex.op)
    return graph


@pytest.mark.parametrize("seed", range(4))
def test_broken_definitions_never_crash(seed: int) -> None:
    read_ones = sum(read(data) is not None for data in mutants(1000, seed))
    assert 20 < read_ones < 980  # both sides are reached


@given(st.binary(max_size=200))
def test_noise_never_crashes(data: bytes) -> None:
    read(data)


SCRIPT = """
import resource, sys
from tests.mutate_definitions import bombs
from tests.unit.llb.test_fuzz import read
data = dict(bombs())[sys.argv[1]]
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
read(data)
"""


def read_in_two_gigabytes(name: str) -> None:
    """Read a bomb in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", SMALL)
def test_no_definition_takes_gigabytes(name: str) -> None:
    read_in_two_gigabytes(name)
