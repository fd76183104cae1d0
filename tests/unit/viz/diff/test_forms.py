"""The forms of a comparison: what each must say, and the limits of those who show it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from pybuild import State, image, scratch
from pybuild.errors import ArgumentError
from pybuild.viz.diff.drawing import FORMATS, DiffDrawing, format_of, graph_diff
from pybuild.viz.diff.markdown import LIMIT, to_markdown
from pybuild.viz.diff.mermaid import MOST_STEPS
from pybuild.viz.diff.model import FieldChange, GraphDiff, StepDiff, Version
from pybuild.viz.render import can_render

base = image("alpine:3.20")
needs_graphviz = pytest.mark.skipif(not can_render(), reason="graphviz is not installed")


def small() -> DiffDrawing:
    left = base.run("make").copy(base.run("old").path("/o"), "/o").write("/v", "1")
    right = base.run("make all").write("/v", "2").run("new").entrypoint("/v")
    return graph_diff(left, right)


def chain(start: str, count: int) -> State:
    state = image(start)
    for number in range(count):
        state = state.run(f"step {number} " + "x" * 50)
    return state


def odd(text: str) -> GraphDiff:
    step = StepDiff(
        number=1,
        status="changed",
        kind="exec",
        stage=text,
        before=Version(name=text, place=text, snippet=text),
        after=Version(name=text + "2", place=text, snippet=text),
        fields=(FieldChange(field=text, before=text, after=f"{text}\n{text}"),),
    )
    return GraphDiff(left=text, right=text, target=text, steps=(step,), notes=(text,))


def test_every_form_tells_the_same() -> None:
    for form in ("text", "markdown", "json", "dot", "mermaid", "html"):
        text = small().as_format(form).decode()
        for word in ("make all", "old", "new"):
            assert word in text, form
        assert "added" in text
        assert "removed" in text


@pytest.mark.parametrize(
    "text", ["`x` ```", '"<&>"', "a\\n|b|", "-->\x1b[1m", "é…\ud800", "#quot;", "</details>", "]]>"]
)
def test_odd_texts_break_no_form(text: str) -> None:
    found = odd(text)
    for form in ("text", "markdown", "json", "dot", "mermaid", "html"):
        DiffDrawing(found).as_format(form)
    markdown = to_markdown(found)
    assert markdown.count("<details>") == markdown.count("\n</details>\n")
    drawing = markdown.partition("```mermaid\n")[2].partition("\n```")[0]
    assert all(line.count('"') % 2 == 0 for line in drawing.splitlines())
    if can_render():
        ET.fromstring(DiffDrawing(found).as_format("svg"))


def test_json_is_versioned_and_complete() -> None:
    document = json.loads(small().as_format("json"))
    assert document["version"] == 1
    assert document["different"] is True
    assert sum(document["counts"].values()) == len(document["steps"])
    numbers = [step["number"] for step in document["steps"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {link["source"] for link in document["links"]} <= set(numbers)
    assert all((step["before"] is None) == (step["status"] == "added") for step in document["steps"])
    assert document["config"] == [{"field": "entrypoint", "before": None, "after": "/v", "reruns": True}]


def test_markdown_fits_a_comment_however_large_the_graph() -> None:
    found = graph_diff(chain("a:1", 3000), chain("a:2", 3000)).diff
    markdown = to_markdown(found)
    assert len(markdown) < 65_536
    assert len(markdown) > LIMIT / 2
    assert re.search(r"\*\d+ more steps; ", markdown)
    assert markdown.count("```") % 2 == 0
    assert markdown.count("<details>") == markdown.count("</details>")


def test_drawings_show_what_matters_of_a_large_graph() -> None:
    long = chain("a:1", 200)
    found = graph_diff(long.run("old"), long.run("new"))
    for form in ("mermaid", "dot"):
        text = found.as_format(form).decode()
        assert "new" in text
        assert "step 199" in text
        assert "step 5 " not in text
    assert "(200 steps not drawn)" in found.as_format("dot").decode()
    assert len(re.findall(r":::", found.as_format("mermaid").decode())) <= MOST_STEPS


def test_a_comparison_without_difference_is_one_line() -> None:
    found = graph_diff(base.run("a"), base.run("a"))
    assert "mermaid" not in found.as_format("markdown").decode()
    assert found.as_format("text").decode() == "left → right\nno difference in 2 steps\n"


@needs_graphviz
def test_pictures() -> None:
    drawing = small()
    svg = drawing.as_format("svg")
    assert ET.fromstring(svg).tag.endswith("svg")
    assert svg == small().as_format("svg")
    assert drawing.as_format("png").startswith(b"\x89PNG")
    bundle = drawing._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/markdown", "image/svg+xml"}
    assert repr(drawing) == f"<DiffDrawing: {drawing.diff.summary}>"


def test_notebooks_get_text_without_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "image/svg+xml" not in small()._repr_mimebundle_()
    assert "make all" in small()._repr_mimebundle_()["text/plain"]


def test_files(tmp_path: Path) -> None:
    for suffix in ("md", "json", "txt", "dot", "mmd"):
        small().save(tmp_path / f"review.{suffix}")
        assert (tmp_path / f"review.{suffix}").read_bytes() == small().as_format(format_of(Path(f"x.{suffix}")))
    assert len(list(tmp_path.iterdir())) == 5
    with pytest.raises(ArgumentError, match="no known suffix"):
        small().save(tmp_path / "review.xyz")
    with pytest.raises(ArgumentError, match="no format"):
        DiffDrawing(small().diff, format="word")
    assert "markdown" in FORMATS


def test_what_can_be_compared() -> None:
    assert graph_diff(base.graph(), base).diff.is_empty
    assert graph_diff(scratch(), base).diff.counts["added"] == 1
    with pytest.raises(ArgumentError, match="right must be a State or a Graph, not int"):
        graph_diff(base, 3)  # type: ignore[arg-type]
