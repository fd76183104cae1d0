"""Graphs for engines that lack a way to say something."""

from __future__ import annotations

import pytest

from pybuild import State, bind, image, merge, scratch
from pybuild.engine.buildkit.substitutes import DEVICES, DISCARDED, MERGES, substituted
from pybuild.llb.mounts import BindMount
from pybuild.llb.ops import ExecOp, FileOp, MergeOp
from pybuild.llb.vertex import Graph

ALL = frozenset({MERGES, DEVICES, DISCARDED})
FROM = image("tool")


def without(state: State, lacking: str) -> tuple[Graph, list[str]]:
    told: list[str] = []
    return substituted(Graph([state.head]), ALL - {lacking}, told.append), told


def test_a_linked_copy_is_a_plain_one() -> None:
    base = image("alpine")
    sources = [FROM.path("/a"), FROM.path("/b")]
    linked = base.copy(sources, "/", link=True, owner="me").copy(FROM.path("/c"), "/", link=True)
    plain = base.copy(sources, "/", owner="me").copy(FROM.path("/c"), "/")
    found, told = without(linked, MERGES)
    assert found.heads == Graph([plain.head]).heads
    assert told == ["the engine lacks mergeop: copies with link=True depend on what is below them"]
    assert without(linked, "")[0] == Graph([linked.head])


def test_a_merge_of_trees_stays_one() -> None:
    merged = merge(image("alpine"), scratch().copy(FROM, "/").remove("/a"))
    found, told = without(merged, MERGES)
    assert found.heads[0] is not None
    assert isinstance(found.heads[0].vertex.op, MergeOp)
    assert told == []


def test_devices_are_left_out() -> None:
    found, told = without(image("alpine").run("a", devices=["x.com/d=1,required"]), DEVICES)
    run = found.vertices[-1].op
    assert isinstance(run, ExecOp)
    assert run.cdi_devices == ()
    assert len(told) == 1


@pytest.mark.parametrize(("lacking", "output"), [("", -1), (DISCARDED, 1)])
def test_a_mount_that_is_thrown_away_has_a_result(lacking: str, output: int) -> None:
    found, told = without(image("alpine").run("a").mount(bind(FROM, "/x", readonly=False, keep=False)), lacking)
    run = found.vertices[-1].op
    assert isinstance(run, ExecOp)
    assert [mount.output for mount in run.mounts if isinstance(mount, BindMount)] == [0, output]
    assert told == []


def test_an_engine_that_does_not_say() -> None:
    linked = image("alpine").copy(FROM.path("/a"), "/", link=True)
    assert isinstance(linked.head and linked.head.vertex.op, MergeOp)
    graph = Graph([linked.head])
    assert substituted(graph, frozenset(), print) is graph
    assert any(isinstance(vertex.op, FileOp) for vertex in graph.vertices)
