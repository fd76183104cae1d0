"""`--call outline` says of every case of the vectors what BuildKit's own says."""

import json
from pathlib import Path
from typing import Any

import pytest

from pybuild.errors import PybuildError
from pybuild.frontend.dockerfile.calls.outline import outline_of
from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from tests.wire.dockerfiles import FakeHost
from tests.wire.resolver import load_resolver

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
CASES = json.loads((VECTORS / "subrequests.json").read_text())
RESOLVER = load_resolver(VECTORS / "resolver.json")
CAPS = json.loads((VECTORS / "llb_caps.json").read_text())


def answer(directory: Path) -> dict[str, Any]:
    case = json.loads((directory / "opts.json").read_text())
    data = (directory / "Dockerfile").read_bytes()
    try:
        build = DockerfileBuild(
            case.get("opts", {}), FakeHost(case, data, RESOLVER, CAPS), dialect=Dialect(labs=case.get("labs", False))
        )
        document = outline_of(build.lowered().target, build.text.data).document()
    except PybuildError as error:
        return {"outline_error": error.message}
    del document["sources"]
    # BuildKit takes the lists in the order of a map.
    lists = {
        key: sorted(document[key], key=lambda item: item["name"])
        for key in ("args", "secrets", "ssh")
        if key in document
    }  # type: ignore[attr-defined]
    return {"outline": document | lists}


@pytest.mark.parametrize("name", CASES)
def test_outlines_are_buildkits(name: str) -> None:
    expected = {key: value for key, value in CASES[name].items() if key.startswith("outline")}
    assert answer(VECTORS / "authored" / name) == expected
