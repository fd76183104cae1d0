"""Comparisons of revisions are, byte for byte, what is written under reviews/.

After a wanted change: `PYBUILD_GOLDEN_UPDATE=1 python -m pytest tests/golden`, then review the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pybuild.cli.review.compare import compare
from pybuild.cli.review.loading import Wish
from pybuild.viz.diff.drawing import DiffDrawing
from pybuild.viz.diff.model import GraphDiff
from tests.unit.cli.review.repo import Repo
from tests.unit.cli.review.test_compare import PAIRS

REVIEWS = Path(__file__).parent / "reviews"
SUFFIXES = {"text": "txt", "markdown": "md", "json": "json", "dot": "dot", "mermaid": "mmd"}
CASES = ("command", "everything at once", "unused file")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GraphDiff]:
    made: dict[str, GraphDiff] = {}
    for case in CASES:
        repo = Repo(tmp_path_factory.mktemp("repo"))
        repo.git("checkout", "-q", "-b", "topic")
        repo.commit(PAIRS[case][0](repo))
        made[case] = compare("main...topic", str(repo.path), Wish(target="app", args={}, optimized=False))
    return made


@pytest.mark.parametrize("form", SUFFIXES)
@pytest.mark.parametrize("case", CASES)
def test_review(found: dict[str, GraphDiff], case: str, form: str) -> None:
    made = DiffDrawing(found[case], format=form).data.decode()
    # Digests depend on the whole of the graph's canonical form, which has tests of its own.
    made = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", made)
    expected = REVIEWS / f"{case.replace(' ', '-')}.{SUFFIXES[form]}"
    if os.environ.get("PYBUILD_GOLDEN_UPDATE"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(made)
    assert made == expected.read_text()
