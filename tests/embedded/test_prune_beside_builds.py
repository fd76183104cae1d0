"""`prune --all` in a loop beside builds in parallel: none fails, no file is lost, nothing is left."""

from pathlib import Path

import pytest

from tests.embedded.command import pybuild
from tests.embedded.pruning import assert_empty, prepare, prune_and_build
from tests.embedded.smallbase import small_layout

pytestmark = pytest.mark.engine


def test_builds_beside_prune(tmp_path: Path) -> None:
    layout, ref = small_layout(tmp_path / "base")
    prepare(tmp_path / "project")
    root = tmp_path / "store"
    prune_and_build(root, tmp_path / "project", layout, ref, rounds=3)
    assert pybuild(root, "prune", "--all", cwd=tmp_path).returncode == 0
    assert_empty(root)
