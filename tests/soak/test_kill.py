"""The long form of the kill test: PYBUILD_SOAK_ROUNDS random moments, 200 in `make soak`."""

import os
import random
from pathlib import Path

import pytest

from tests.embedded.killing import kill_and_check, prepare

pytestmark = pytest.mark.engine


def test_killed_builds_leave_nothing(base_layout: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "project")
    seed = random.SystemRandom().randrange(1 << 30)
    rounds = int(os.environ.get("PYBUILD_SOAK_ROUNDS", "15"))
    kill_and_check(tmp_path / "store", tmp_path / "project", base_layout, rounds=rounds, seed=seed)
    print(f"{rounds} builds killed, each followed by one that was right (seed {seed})")
