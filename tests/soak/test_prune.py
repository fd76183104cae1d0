"""The long form of the test of builds beside `prune`: PYBUILD_PRUNE_ROUNDS rounds, 100 in `make soak`."""

import os
from pathlib import Path

import pytest

from tests.embedded.pruning import prepare, prune_and_build
from tests.embedded.smallbase import small_layout

pytestmark = pytest.mark.engine


def test_builds_beside_prune(tmp_path: Path) -> None:
    layout, ref = small_layout(tmp_path / "base")
    prepare(tmp_path / "project")
    rounds = int(os.environ.get("PYBUILD_PRUNE_ROUNDS", "2"))
    prune_and_build(tmp_path / "store", tmp_path / "project", layout, ref, rounds=rounds)
    print(f"{rounds} rounds of 8 builds beside two loops of prune --all: none failed, nothing leaked")
