from __future__ import annotations

import json
import subprocess

import pytest

from pybuild import scratch
from pybuild.viz.dot import to_dot
from pybuild.viz.model import Link, Model, Node, model_of
from tests.unit.viz.graphs import chain, results, small

NASTY = 'a "quoted" \\back <tag> & \x1b[31m\ttab\nline {x} | é 💥 -->'


def parsed(dot: str) -> dict[str, list[dict[str, str]]]:
    """What graphviz reads."""
    done = subprocess.run(["dot", "-Tjson0"], input=dot, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def nodes(dot: str) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in parsed(dot)["objects"] if each["name"].startswith("v")}


def test_graphviz_reads_all_of_it() -> None:
    graph = small()
    read = parsed(to_dot(model_of(graph, results(graph, v1="cached", v2="done", v3="failed", v4="canceled"))))
    names = {index: each["name"] for index, each in enumerate(read["objects"])}
    assert {(names[each["tail"]], names[each["head"]]) for each in read["edges"]} == {  # type: ignore[index]
        ("v1", "v3"),
        ("v2", "v3"),
        ("v3", "v4"),
    }


@pytest.mark.parametrize("kind", ["source", "exec", "file"])
def test_any_text_is_kept_apart_from_the_syntax(kind: str) -> None:
    node = Node(number=1, name=NASTY, kind=kind, snippet=NASTY, stage=NASTY, place=NASTY, mounts=((NASTY, NASTY),))  # type: ignore[arg-type]
    link = Link(source=1, target=1, kind="mount", label=NASTY)
    read = nodes(to_dot(Model(nodes=(node,), links=(link,), heads=(1,))))
    assert '"quoted"' in read["v1"]["tooltip"]
    assert "&lt;tag&gt;" in read["v1"]["label"]
    assert "💥" in read["v1"]["label"]


def test_empty_names_are_drawn() -> None:
    nodes(to_dot(Model(nodes=(Node(number=1, name="", kind="exec"),), links=(), heads=())))


def test_states_decide_the_colours() -> None:
    graph = small()
    read = nodes(to_dot(model_of(graph, results(graph, v1="cached", v2="done", v3="failed", v4="canceled"))))
    assert len({each["fillcolor"] for each in read.values()}) == 4
    assert "1.2 s" in read["v2"]["label"]
    assert "failed after 1.2 s" in read["v3"]["label"]
    assert "cached" in read["v1"]["label"]


def test_the_result_has_a_thick_border() -> None:
    read = nodes(to_dot(model_of(small())))
    assert [name for name, each in read.items() if "penwidth" in each] == ["v4"]


def test_the_legend_lists_what_occurs() -> None:
    text = to_dot(model_of(chain(2)))
    legend = next(line for line in text.splitlines() if "labelloc" in line)
    assert "run" in legend
    assert "base" in legend
    assert "mount" not in legend
    assert "cached" not in legend


def test_a_copy_is_not_labelled_twice() -> None:
    files = scratch().write("/in", "")
    plain = to_dot(model_of(scratch().copy(files.path("/in"), "/out").graph()))
    named = to_dot(model_of(scratch().copy(files.path("/in"), "/out").named("fetch").graph()))
    edge = "v1 -> v2 "
    assert "label" not in next(line for line in plain.splitlines() if edge in line)
    assert 'label="  /in"' in next(line for line in named.splitlines() if edge in line)


def test_long_names_are_wrapped_and_cut() -> None:
    word = "x" * 50
    read = nodes(to_dot(Model(nodes=(Node(number=1, name=" ".join([word] * 9), kind="exec"),), links=(), heads=())))
    lines = read["v1"]["label"].split("<br/>")
    assert len(lines) == 4
    assert all(line.count("x") <= 44 for line in lines)
    assert "…" in lines[-1]


def test_a_long_chain() -> None:
    text = to_dot(model_of(chain(20_000)))
    assert text.count(" -> ") == 19_999


def test_equal_graphs_give_equal_bytes() -> None:
    assert to_dot(model_of(small())) == to_dot(model_of(small()))
