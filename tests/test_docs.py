"""What the docs say is so: examples in docstrings run, the README's picture is of its example, links lead somewhere."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pybuild.cli.diagnostics import render
from pybuild.dsl.buildfile import load_buildfile
from pybuild.errors import ExecError
from pybuild.viz.model import model_of

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def modules_with_examples() -> list[str]:
    files = sorted((ROOT / "pybuild").rglob("*.py"))
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in files
        if ">>> " in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name.startswith("pybuild.engine.buildkit."):
        pytest.importorskip("grpc", reason="the extra pybuild[buildkit] is not installed")
    module = import_module(name)
    # Functions that an example defines are the user's own, as in a script.
    examples = doctest.DocTestFinder().find(module, name, extraglobs={"__name__": "__main__"})
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL)
    report: list[str] = []
    for example in examples:
        runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def readme_example() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.partition("```python\n")[2].partition("```")[0]


def test_the_readme_draws_its_example(tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(readme_example())
    graph = load_buildfile(tmp_path).state().graph()
    svg = (ROOT / "docs/images/readme.svg").read_text(encoding="utf-8")
    for node in model_of(graph).nodes:
        assert f">{node.place}<" in svg, f"scripts/reference draws it anew: no {node.place}"
        assert node.stage in svg
    assert svg.count('class="node"') == len(graph)


def test_the_readme_shows_what_a_failure_looks_like(tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(readme_example())
    graph = load_buildfile(tmp_path).state().graph()
    step = next(vertex for vertex in graph.vertices if "go test" in vertex.name)
    error = ExecError(["/bin/sh", "-c", "go test ./... > /report.txt"], 1).at(step.locations)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in list(render(error))[2:-1]:  # all but what depends on who loads the file, and the log
        assert line.rstrip() in text


@pytest.mark.parametrize(
    "page", [path.relative_to(ROOT) for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])], ids=str
)
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    missing = [target for target in targets if not (ROOT / page.parent / target).exists()]
    assert missing == []


def test_the_reference_is_of_this_code() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
