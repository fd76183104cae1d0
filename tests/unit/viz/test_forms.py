"""Text, Mermaid and HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from pybuild import diff, merge, scratch
from pybuild.llb.vertex import Graph
from pybuild.viz import html, text
from pybuild.viz.html import to_html
from pybuild.viz.mermaid import to_mermaid
from pybuild.viz.model import Link, Model, Node, model_of
from pybuild.viz.text import explain, to_text
from tests.unit.viz.graphs import chain, results, small

NASTY = 'a "b" <script>alert(1)</script> `c` #d & e\nf'


class TestText:
    def test_every_step_with_its_inputs_and_line(self) -> None:
        lines = explain(small()).splitlines()
        heads = [line for line in lines if not line.startswith(" " * 5)]
        assert [line.split()[0] for line in heads] == ["1", "2", "3", "4"]
        assert all("graphs.py:" in line for line in heads)
        below = lines[lines.index(heads[2]) + 1]
        assert "on 1" in below
        assert "/tools from 2" in below
        assert "/root/.cache: cache" in below
        assert "/out from 3" in lines[-1]

    def test_merge_and_diff(self) -> None:
        base = scratch().mkdir("/a")
        changed = base.mkdir("/b")
        lines = explain(merge(base, diff(base, changed)).graph())
        assert "lower 1, upper 2" in lines
        assert lines.endswith("1, 3")

    def test_states(self) -> None:
        graph = small()
        lines = to_text(model_of(graph, results(graph, v1="cached", v2="done", v3="failed", v4="skipped")))
        assert [word in lines for word in ("cached", "ran 1.2 s", "failed after 1.2 s", "not needed")] == [True] * 4

    def test_nothing(self) -> None:
        assert explain(Graph([None])) == "nothing: an empty file system"

    def test_a_long_chain(self) -> None:
        assert len(explain(chain(20_000)).splitlines()) == 2 * 20_000 - 1

    def test_long_names_are_cut(self) -> None:
        node = Node(number=1, name="n" * 200, kind="exec", place="Buildfile.py:3")
        line = to_text(Model(nodes=(node,), links=(), heads=()))
        assert line == f"1  {'n' * (text._WIDTH - 1)}…  Buildfile.py:3"


class TestMermaid:
    def test_shapes_and_arrows(self) -> None:
        lines = to_mermaid(model_of(small())).splitlines()
        assert lines[0] == "flowchart TD"
        assert sum("==>" in line for line in lines) == 1
        assert '  v2 -.->|"/tools"| v3' in lines
        assert '  v3 -->|"/out"| v4' in lines

    def test_states_are_classes_that_are_defined(self) -> None:
        graph = small()
        made = to_mermaid(model_of(graph, results(graph, v1="cached", v2="done", v3="failed", v4="skipped")))
        for state in ("cached", "done", "failed", "skipped"):
            assert f":::{state}\n" in made
            assert f"classDef {state} " in made
        assert "classDef" not in to_mermaid(model_of(graph))

    def test_text_cannot_end_its_label(self) -> None:
        node = Node(number=1, name=NASTY, kind="exec", stage=NASTY)
        made = to_mermaid(Model(nodes=(node,), links=(Link(source=1, target=1, kind="copy", label=NASTY),), heads=()))
        for line in made.splitlines():
            assert line.count('"') in (0, 2), line
            assert "<script>" not in line
            assert "`" not in line


class Page(HTMLParser):
    """Checks that tags are balanced, and collects ids, targets of links, and text."""

    void = frozenset({"meta", "br", "img", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.void:
            self.open.append(tag)
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.addresses += [str(given[name]) for name in ("href", "src", "xlink:href") if given.get(name)]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


class TestHtml:
    def test_needs_nothing_else(self) -> None:
        graph = small()
        page = Page(to_html(model_of(graph, results(graph, v1="cached", v2="done", v3="done")), title="app"))
        assert len(page.ids) == len(set(page.ids))
        assert all(address[0] == "#" and address[1:] in page.ids for address in page.addresses)
        assert "4 steps, 1 cached, 2 ran" in page.text
        assert "/root/.cache" in page.text

    def test_has_the_picture(self) -> None:
        assert to_html(model_of(small())).count("<svg") == 1

    def test_works_without_graphviz(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        made = to_html(model_of(small()))
        assert "<svg" not in made
        assert Page(made).ids == ["steps", "v1", "v2", "v3", "v4"]

    def test_large_graphs_are_listed_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(html, "_MOST_DRAWN", 3)
        assert "<svg" not in to_html(model_of(small()))

    def test_text_stays_text(self) -> None:
        node = Node(number=1, name=NASTY, kind="exec", stage=NASTY, snippet=NASTY, reason=NASTY, place=NASTY)
        made = to_html(Model(nodes=(node,), links=(), heads=(1,)), title=NASTY)
        assert made.count("<script>") == 1
        assert Page(made).text.count("alert(1)") >= 5
