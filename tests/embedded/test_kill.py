"""`kill -9` in the middle of a build: the next one succeeds, and nothing is left behind."""

import random
from pathlib import Path

import pytest

from tests.embedded.killing import kill_and_check, prepare

pytestmark = pytest.mark.engine


def test_killed_builds_leave_nothing(base_layout: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "project")
    seed = random.SystemRandom().randrange(1 << 30)
    kill_and_check(tmp_path / "store", tmp_path / "project", base_layout, rounds=8, seed=seed)
