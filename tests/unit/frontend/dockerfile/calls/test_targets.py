import json
from pathlib import Path

import pytest

from pybuild.errors import PybuildError
from pybuild.frontend.dockerfile.calls.targets import list_targets

VECTORS = Path(__file__).parents[4] / "vectors"
ALL = json.loads((VECTORS / "subrequests.json").read_text())
#: BuildKit itself crashes on one of them.
CASES = {name: case for name, case in ALL.items() if not str(case.get("targets_error", "")).startswith("panic:")}


def answer(data: bytes) -> dict[str, object]:
    try:
        document = json.loads(list_targets(data).json())
    except PybuildError as error:
        return {"targets_error": error.message}
    return {"targets": {**document, "sources": None}}


@pytest.mark.parametrize("case", CASES)
def test_targets_are_buildkits(case: str) -> None:
    expected = {key: value for key, value in CASES[case].items() if key.startswith("targets")}
    assert answer((VECTORS / "authored" / case / "Dockerfile").read_bytes()) == expected


def test_the_table() -> None:
    targets = list_targets(b"# base for all\nFROM a AS base\nFROM b AS x\nFROM base AS last\n")
    assert targets.text() == "TARGET         DESCRIPTION\nbase           for all\nx              \nlast (default) \n"


def test_json_has_the_file() -> None:
    document = list_targets(b"FROM --platform=$X a\n").json()
    assert document == (
        '{\n  "targets": [\n    {\n      "default": true,\n      "base": "a",\n      "platform": "$X",\n'
        '      "location": {\n        "ranges": [\n          {\n            "start": {\n              "line": 1\n'
        '            },\n            "end": {\n              "line": 1\n            }\n          }\n        ]\n'
        '      }\n    }\n  ],\n  "sources": [\n    "RlJPTSAtLXBsYXRmb3JtPSRYIGEK"\n  ]\n}'
    )
