"""Every Dockerfile of the vectors that lowers, written as a Buildfile, makes the same ops and the same image config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.convert.cases import differences
from tests.wire.test_dockerfile_vectors import CAPS, CASES, RESOLVER


def lowers(directory: Path) -> bool:
    return "error" not in json.loads((directory / "expected.json").read_text())


NAMES = [path.name for path in CASES if lowers(path)]


def test_there_are_all_cases() -> None:
    assert len(NAMES) == 278


@pytest.mark.parametrize("name", NAMES)
def test_same_image(name: str, tmp_path: Path) -> None:
    directory = CASES[0].parent / name
    assert differences(directory, tmp_path, RESOLVER, CAPS) == []


def arguments_of(name: str) -> list[str]:
    path = CASES[0].parent / name / "opts.json"
    options = json.loads(path.read_text()).get("opts", {}) if path.exists() else {}
    return [option for option in options if option.startswith("build-arg:")]


#: What these arguments say of the context, or which language the file is in, only `convert` can know.
FOR_CONVERT = {
    "build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR",
    "build-arg:BUILDKIT_SYNTAX",
}
#: The date is that of a context.
DATED_BY_CONTEXT = {"opt_sde_http_context", "opt_sde_named_context", "opt_source_date_epoch_git_context"}
GIVEN = [name for name in NAMES if name not in DATED_BY_CONTEXT and arguments_of(name)]


@pytest.mark.parametrize("name", [name for name in GIVEN if not FOR_CONVERT & set(arguments_of(name))])
def test_arguments_that_only_the_buildfile_is_given(name: str, tmp_path: Path) -> None:
    assert differences(CASES[0].parent / name, tmp_path, RESOLVER, list(CAPS), written_out=False) == []
