"""Which of several nodes builds for which platform."""

from __future__ import annotations

import pytest

pytest.importorskip("grpc", reason="the extra pybuild[buildkit] is not installed")

from pybuild.engine.buildkit.nodes import Node, SeveralNodes, choose
from pybuild.engine.choose import engine_named
from pybuild.errors import EngineUnavailable, PybuildError
from pybuild.platform import parse_platform


def node(text: str, *found: str) -> Node:
    """A node whose engine says that it can build for `found`."""
    made = Node(text)
    made._found = tuple(parse_platform(name) for name in found)
    return made


BIG = node("tcp://big:1", "linux/amd64", "linux/386", "linux/arm64")
ARM = node("tcp://arm:1", "linux/arm64", "linux/arm/v7")
TOLD = node("tcp://told:1?platform=linux/arm64+linux/s390x", "linux/amd64")


@pytest.mark.parametrize(
    ("platform", "nodes", "expected"),
    [
        ("linux/amd64", [BIG, ARM], BIG),
        ("linux/arm64", [BIG, ARM], ARM),  # a machine of that kind goes before one that emulates it
        ("linux/arm64", [BIG, ARM, TOLD], TOLD),  # and what is there for it before both
        ("linux/386", [ARM, BIG], BIG),
        ("linux/arm/v7", [BIG, ARM], ARM),
        ("linux/amd64", [TOLD, BIG], BIG),
        ("linux/amd64", [TOLD], TOLD),
        ("linux/s390x", [BIG, TOLD], TOLD),
    ],
)
def test_the_node_for_a_platform(platform: str, nodes: list[Node], expected: Node) -> None:
    assert choose(parse_platform(platform), nodes) is expected


def test_no_node_for_a_platform() -> None:
    with pytest.raises(EngineUnavailable, match="no node builds for linux/riscv64") as caught:
        choose(parse_platform("linux/riscv64"), [ARM, TOLD])
    assert "tcp://arm:1: linux/arm64, linux/arm/v7; tcp://told:1: linux/arm64, linux/s390x" in caught.value.hint


def test_addresses_of_nodes() -> None:
    made = engine_named("docker, tcp://h:1?cacert=/a+b/ca.pem&platform=linux/arm64+linux/arm/v7&servername=x")
    assert isinstance(made, SeveralNodes)
    first, second = made.nodes
    assert (first.address, first.declared) == ("docker", ())
    assert second.address == "tcp://h:1?cacert=/a%2Bb/ca.pem&servername=x"
    assert [str(platform) for platform in second.declared] == ["linux/arm64", "linux/arm/v7"]
    with pytest.raises(PybuildError, match="platform"):
        engine_named("docker,tcp://h:1?platform=linux/a/b/c")
