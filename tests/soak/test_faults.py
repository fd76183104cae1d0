"""Full disks of PYBUILD_FULL_POINTS sizes, PYBUILD_POWER_ROUNDS stores that lost power: 20 and 40 in `make soak`."""

import os
import random
from pathlib import Path

import pytest

from tests.embedded.faults import Faults, copy_and_check, fill_and_check
from tests.embedded.pruning import prepare
from tests.embedded.smallbase import small_layout

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    place = tmp_path_factory.mktemp("faults")
    prepare(place / "project")
    return Faults(place / "project", *small_layout(place / "base"))


def test_full_disks(faults: Faults, tmp_path: Path) -> None:
    points = int(os.environ.get("PYBUILD_FULL_POINTS", "6"))
    fill_and_check(faults, tmp_path, points=points)
    print(f"{points} disks too small, each followed by a build with room that was right")


def test_copies_in_the_middle_of_builds(faults: Faults, tmp_path: Path) -> None:
    rounds = int(os.environ.get("PYBUILD_POWER_ROUNDS", "6"))
    seed = random.SystemRandom().randrange(1 << 30)
    lossy = copy_and_check(faults, tmp_path, rounds=rounds, seed=seed)
    print(f"{rounds} stores copied while a build ran, {lossy} without what came last; all built right (seed {seed})")
