"""Each pass on small Buildfiles: passes/NAME.py has the targets, passes/NAME.txt what the graph was and is.

After a wanted change: `PYBUILD_GOLDEN_UPDATE=1 python -m pytest tests/golden`, then review the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild import load_buildfile
from pybuild.cli.receipts import to_text
from pybuild.passes.pipeline import NAMES, PassReport, names_of, passes_named, run_passes
from pybuild.platform import Platform
from pybuild.protocols import PassContext
from pybuild.viz.text import explain

CASES = Path(__file__).parent / "passes"
ELSEWHERE = ("resolve", "bind_platform", "prune")  # need a lookup, or what Buildfiles cannot make: tests/unit/passes


def parts(name: str) -> Iterator[str]:
    buildfile = load_buildfile(CASES / f"{name}.py")
    for target in buildfile.targets:
        graph = buildfile.state(target).graph()
        context = PassContext(platform=Platform("linux", "amd64"), squash=".." if name == "squash" else "")
        if name != "dedupe":
            graph = run_passes(graph, context, passes_named(names_of(0, "dedupe"), lookups=False)[:1])
        reports: list[PassReport] = []
        made = run_passes(graph, context, passes_named([name], lookups=False), verify_each=True, report=reports)
        yield f"=== {target}: {buildfile.targets[target].description}"
        yield explain(graph)
        if made is graph:
            yield "--- stays as it is"
        else:
            yield "--- after"
            yield explain(made)
            yield f"--- {to_text(reports)}"
        yield ""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_pass(name: str) -> None:
    text = "\n".join(parts(name))
    expected = CASES / f"{name}.txt"
    if os.environ.get("PYBUILD_GOLDEN_UPDATE"):
        expected.write_text(text)
    assert text == expected.read_text()
