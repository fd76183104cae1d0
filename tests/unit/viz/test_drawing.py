from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pybuild import scratch
from pybuild.errors import ArgumentError, EngineUnavailable
from pybuild.viz.drawing import FORMATS, Drawing, format_of
from pybuild.viz.render import can_render, render
from tests.unit.viz.graphs import chain, small

STARTS = {
    "svg": b"<?xml",
    "png": b"\x89PNG\r\n",
    "pdf": b"%PDF-",
    "dot": b"digraph pybuild {",
    "mermaid": b"flowchart TD",
    "text": b"1  ",
    "html": b"<!doctype html>",
    "json": b"{",
}


@pytest.mark.parametrize("form", FORMATS)
def test_formats(form: str) -> None:
    assert Drawing(small(), format=form).data.startswith(STARTS[form])


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("svg", "svg"), ("PNG", "png"), ("pdf", "pdf"), ("dot", "dot"), ("gv", "dot"), ("mmd", "mermaid"),
     ("txt", "text"), ("html", "html"), ("json", "json")],
)  # fmt: skip
def test_the_suffix_decides(tmp_path: Path, suffix: str, form: str) -> None:
    path = tmp_path / f"graph.{suffix}"
    path.write_text("older")
    Drawing(small()).save(path)
    assert path.read_bytes().startswith(STARTS[form])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_format_beats_the_suffix(tmp_path: Path) -> None:
    Drawing(small()).save(tmp_path / "graph.unknown", "dot")
    assert (tmp_path / "graph.unknown").read_bytes().startswith(STARTS["dot"])


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no known suffix") as caught:
        Drawing(small()).save(tmp_path / "graph.doc")
    assert ".svg" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ArgumentError):
        format_of(Path("graph"))


def test_unknown_format() -> None:
    with pytest.raises(ArgumentError, match='no format "gif"'):
        Drawing(small(), format="gif")


def test_named_forms() -> None:
    drawing = Drawing(small())
    assert drawing.dot == Drawing(small(), format="dot").text
    assert drawing.mermaid.startswith("flowchart")
    assert drawing.svg() == drawing.text
    assert json.loads(Drawing(small(), format="json").text)["heads"] == [4]


def test_binary_forms_have_no_text() -> None:
    drawing = Drawing(small(), format="png")
    with pytest.raises(ArgumentError, match="png is no text"):
        _ = drawing.text
    assert str(drawing) == repr(drawing) == "<Drawing of 4 steps as png>"


def test_notebooks_get_text_and_picture() -> None:
    bundle = Drawing(small())._repr_mimebundle_()
    assert bundle["text/plain"].startswith("1  ")
    assert bundle["image/svg+xml"].startswith("<?xml")


def test_notebooks_are_told_of_large_graphs_only() -> None:
    bundle = Drawing(chain(201))._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert "201 steps" in bundle["text/plain"]
    assert "image/svg+xml" in Drawing(chain(200))._repr_mimebundle_()


def test_without_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    drawing = Drawing(small())
    assert not can_render()
    with pytest.raises(EngineUnavailable, match="graphviz, which is not installed") as caught:
        drawing.svg()
    assert "mermaid" in caught.value.hint
    assert list(drawing._repr_mimebundle_()) == ["text/plain", "text/html"]
    assert str(drawing) == repr(drawing)
    assert Drawing(small(), format="html").text.startswith("<!doctype")


def test_what_graphviz_says_is_passed_on() -> None:
    with pytest.raises(EngineUnavailable, match="syntax error"):
        render("digraph {", "svg")


def test_names_that_are_no_valid_unicode() -> None:
    graph = scratch().mkdir("/a").named("bad \udcff name").graph()
    for form in FORMATS:
        assert Drawing(graph, format=form).data
    assert "image/svg+xml" in Drawing(graph)._repr_mimebundle_()


def test_svg_has_the_users_lines_as_tooltips() -> None:
    graph = scratch().mkdir("/told").graph()
    assert re.search(r'xlink:title="[^"]*scratch\(\)\.mkdir\(&quot;/told&quot;\)', Drawing(graph).svg())
