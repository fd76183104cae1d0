from __future__ import annotations

import inspect

import pytest

from pybuild import image, scratch, target
from pybuild.llb.vertex import Graph
from pybuild.viz.model import Link, model_of, time_text
from tests.unit.viz.graphs import chain, results, small


def test_nodes_are_numbered_inputs_first() -> None:
    graph = small()
    model = model_of(graph)
    assert [node.number for node in model.nodes] == [1, 2, 3, 4]
    assert [node.kind for node in model.nodes] == ["source", "file", "exec", "file"]
    assert model.heads == (4,)
    assert all(link.source < link.target for link in model.links)


def test_links_say_what_an_input_is_for() -> None:
    assert set(model_of(small()).links) == {
        Link(source=1, target=3, kind="base"),
        Link(source=2, target=3, kind="mount", label="/tools"),
        Link(source=3, target=4, kind="copy", label="/out"),
    }


def test_own_mounts_and_secret_variables() -> None:
    node = model_of(small()).nodes[2]
    assert sorted(node.mounts) == [
        ("$TOKEN", "secret token"),
        ("/key", "secret key"),
        ("/root/.cache", "cache"),
        ("/tmp", "tmpfs"),
    ]


def test_place_and_snippet_are_the_users() -> None:
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
    graph = scratch().mkdir("/here").graph()
    node = model_of(graph).nodes[0]
    assert node.place == f"test_model.py:{line}"
    assert node.snippet.strip() == 'graph = scratch().mkdir("/here").graph()'


def test_stages_are_targets() -> None:
    @target
    def lower() -> object:
        return scratch().mkdir("/a")

    @target
    def upper() -> object:
        return lower().mkdir("/b")

    model = model_of(upper().graph())
    assert [(node.name, node.stage) for node in model.nodes] == [("mkdir /a", "lower"), ("mkdir /b", "upper")]
    assert list(model.stages) == ["lower", "upper"]


def test_states_come_from_results_of_the_same_vertices() -> None:
    graph = small()
    model = model_of(graph, results(graph, v1="cached", v3="done"))
    assert [node.state for node in model.nodes] == ["cached", "", "done", ""]
    assert model.nodes[2].duration == 1.25
    assert model.nodes[2].reason == "because"
    assert [node.state for node in model_of(chain(3), results(graph, v1="done")).nodes] == ["", "", ""]


def test_names_lose_what_everybody_knows() -> None:
    pinned = "alpine:3.20@sha256:" + "0" * 64
    assert model_of(image(pinned).graph()).nodes[0].name == "alpine:3.20"


def test_equal_graphs_give_equal_models() -> None:
    assert model_of(small()) == model_of(small())


def test_nothing() -> None:
    model = model_of(Graph([None]))
    assert (model.nodes, model.links, model.heads) == ((), (), ())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "<0.1 s"), (0.049, "<0.1 s"), (0.05, "0.1 s"), (59.94, "59.9 s"), (60, "1m 00s"), (3599.6, "60m 00s")],
)
def test_time(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("given", "stage", "name"),
    [
        ("[build 3/4] RUN make", "build", "RUN make"),
        ("[linux/arm64 build  3/14] RUN make", "linux/arm64 build", "RUN make"),
        ("[internal] load build context", "", "[internal] load build context"),
        ("[1/2] of my own", "", "[1/2] of my own"),
    ],
)
def test_steps_of_a_dockerfile_stand_in_its_stages(given: str, stage: str, name: str) -> None:
    node = model_of(image("alpine").run("make").named(given).graph()).nodes[-1]
    assert (node.stage, node.name) == (stage, name)
