"""The tutorial runs from a clean kernel, shows what it says, and every output has a text form."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from tests.embedded.conftest import ROOT, warm_root

pytestmark = pytest.mark.engine
__all__ = ["warm_root"]
NOTEBOOK = ROOT / "docs/tutorial.ipynb"


@pytest.fixture(scope="module")
def outputs(base_layout: Path, warm_root: Path) -> dict[str, list[dict[str, object]]]:
    """What each code cell puts out now, by its source."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in ("ipykernel", "nbclient"):
            pytest.importorskip(module, reason=f"{module} is not installed; scripts/setup test installs it")
        import nbclient
        import nbformat

        book = nbformat.read(NOTEBOOK, as_version=4)
        environment = {**os.environ, "PYBUILD_ROOT": str(warm_root), "PYBUILD_BASE": str(base_layout)}
        client = nbclient.NotebookClient(book, timeout=120, kernel_name="python3")
        client.execute(env=environment)
    return {cell.source: cell.outputs for cell in book.cells if cell.cell_type == "code"}


def text(outputs: list[dict[str, object]]) -> str:
    """The text forms of a cell's outputs."""
    found: list[str] = []
    for output in outputs:
        data = output.get("data")
        if isinstance(data, dict):
            assert "text/plain" in data, data.keys()
            found.append(data["text/plain"])
        else:
            found.append("\n".join(output.get("traceback") or [str(output.get("text"))]))  # type: ignore[arg-type]
    return "\n".join(found)


def of(outputs: dict[str, list[dict[str, object]]], start: str) -> str:
    return text(next(value for source, value in outputs.items() if start in source))


def test_every_cell_shows_something_and_as_text(outputs: dict[str, list[dict[str, object]]]) -> None:
    for source, shown in outputs.items():
        assert source.startswith("import os") or text(shown).strip(), source


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("result.explain()", "In[2]:5"),
        ('read_text("/counts")', "3 the"),
        ("result.build().cached", "True"),
        ('ls("/words")', "counts"),
        ('du("/usr")', "all of /usr"),
        ("base.fs.diff", "added   /words/counts"),
        ('tools.run("echo', "hello from debian bookworm"),
        ("ls /nothing", "cannot access"),
        ("again.steps", "In[12]:5"),
        ("again.log", "3 the"),
        ("owl", "exited with code 1"),
        ("owl", "looking for the owl"),
        ("owl", "on_error="),
        ("on_error=", " 6 total"),
        ("/root/.cache", "mount-conflict"),
        ("def count", "'cat': 2"),
        ("diff(base, totals).fs", "totals"),
        ("def greeting", "HELLO MOON"),
    ],
)
def test_what_cells_say(outputs: dict[str, list[dict[str, object]]], cell: str, says: str) -> None:
    assert says in of(outputs, cell)


def test_what_is_built_is_drawn(outputs: dict[str, list[dict[str, object]]]) -> None:
    for cell in ("words = (", "built = result.build()"):
        data = next(value for source, value in outputs.items() if source.startswith(cell))[-1]["data"]
        assert isinstance(data, dict)
        assert "<svg" in data["text/html"]


def test_progress_is_one_output_that_ends_as_a_summary(outputs: dict[str, list[dict[str, object]]]) -> None:
    shown = of(outputs, "again.steps")
    assert shown.startswith("[+] Building")
    assert shown.count("[+] Building") == 1
    assert " = 2 steps CACHED" in shown


def test_what_is_committed_is_complete_and_names_no_place_of_a_machine() -> None:
    import json

    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells[1:]:
        assert cell["outputs"], cell["source"]
        assert "ipykernel" not in json.dumps(cell["outputs"])
        assert str(Path.home()) + "/" not in json.dumps(cell["outputs"]).replace("/root/.cache", "")
