"""A large definition: submitted, followed to the end, every step accounted for.

How many steps is PYBUILD_TEST_STEPS: a disk that is busy takes a minute for each thousand, in the daemon.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from pathlib import Path

import pytest

from pybuild import State, scratch, to_dir
from pybuild.engine.buildkit.engine import BuildKitEngine
from pybuild.protocols import StepFinished, StepStarted
from tests.buildkit.test_engine import Log, run
from tests.embedded.conftest import unique

pytestmark = pytest.mark.docker

COLUMNS = 25
ROWS = int(os.environ.get("PYBUILD_TEST_STEPS", "500")) // (2 * COLUMNS)
MEGABYTES = 300


def large(text: str) -> State:
    """Each row copies from states of one step, and the result from each row."""
    whole = scratch()
    for row in range(ROWS):
        state = scratch()
        for column in range(COLUMNS):
            state = state.copy(scratch().write("/f", f"{text} {row} {column}").path("/f"), f"/{column}")
        whole = whole.copy(state, f"/{row}")
    return whole


def test_every_step_is_followed_to_the_end(engine: BuildKitEngine, tmp_path: Path) -> None:
    log, text = Log(), unique()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run(engine, large(text), to_dir(tmp_path / "out"), log)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert len(result.steps) == ROWS * COLUMNS * 2 + ROWS
    assert {step.state for step in result.steps} == {"done"}
    finished = Counter(event.digest for event in log.events if isinstance(event, StepFinished))
    started = Counter(event.digest for event in log.events if isinstance(event, StepStarted))
    known = {step.digest for step in result.steps}
    assert known <= finished.keys()
    assert known <= started.keys()
    assert max(finished[digest] for digest in known) == 1, "each is told of once"
    assert grown < MEGABYTES, "what was told is not kept"
    assert (tmp_path / f"out/{ROWS - 1}/{COLUMNS - 1}").read_text() == f"{text} {ROWS - 1} {COLUMNS - 1}"
