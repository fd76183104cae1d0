"""Every Dockerfile case of the vectors lowers to BuildKit's own bytes, configs, warnings, or its error."""

import json
from pathlib import Path

import pytest

from tests.wire.dockerfiles import run_case, run_listed
from tests.wire.resolver import load_resolver

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
CASES = sorted(path for path in (VECTORS / "authored").iterdir() if path.is_dir())
RESOLVER = load_resolver(VECTORS / "resolver.json")
CAPS = json.loads((VECTORS / "llb_caps.json").read_text())
LISTED = json.loads((VECTORS / "dockerfiles.json").read_text())["cases"]


@pytest.mark.parametrize("directory", CASES, ids=lambda path: path.name)
def test_equals_buildkit(directory: Path) -> None:
    assert run_case(directory, RESOLVER, CAPS) == []


@pytest.mark.parametrize("name", LISTED)
def test_made_up_ones_equal_buildkit(name: str) -> None:
    assert run_listed(LISTED[name], RESOLVER, CAPS) == []
