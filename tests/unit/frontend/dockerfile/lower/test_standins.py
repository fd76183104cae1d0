"""`--build-context NAME=target:STAGE`: a stage in place of an image or another stage."""

import json
from pathlib import Path

import pytest

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.frontend.dockerfile.inputs import read_inputs
from pybuild.frontend.protocols import FrontendResult
from tests.wire.dockerfiles import FakeHost

CAPS = json.loads((Path(__file__).parents[4] / "vectors" / "llb_caps.json").read_text())


def lowered(text: str, **contexts: str) -> tuple[FrontendResult, set[str]]:
    """The result, and the images that were looked up for it."""
    host = FakeHost({}, text.encode(), {}, CAPS)
    options = {f"context:{name}": address for name, address in contexts.items()}
    (result,) = DockerfileBuild(options, host, dockerfile=text.encode(), dialect=Dialect(extended=True)).lower()
    return result, {reference.removeprefix("docker.io/library/") for reference, *_ in host.resolves}


@pytest.mark.parametrize(
    "use",
    [
        "FROM {}\n",
        "FROM debian\nCOPY --from={} /a /b\n",
        "FROM debian\nRUN --mount=from={},target=/m true\n",
        "FROM debian\nIMPORT {}\n",
    ],
)
@pytest.mark.parametrize("name", ["golang", "docker.io/library/golang:latest", "tool"])
def test_a_stage_stands_for_an_image_or_a_stage(use: str, name: str) -> None:
    stages = "FROM a AS tool\nRUN x\nEXPORT COPY --from=% /c /d\nFROM b AS other\nRUN y\nEXPORT COPY --from=% /c /d\n"
    expected, images = lowered(stages + use.format("other"))
    key = "tool" if name == "tool" else "golang"
    found, also = lowered(stages + use.format(name), **{key: "target:other"})
    assert found.head is not None
    assert expected.head is not None
    assert found.head.vertex.digest == expected.head.vertex.digest
    assert (found.config, also) == (expected.config, images)


def test_of_an_import_only_what_is_used_is_looked_up() -> None:
    text = "FROM elsewhere AS env\nEXPORT ENV A=1\nFROM debian\nIMPORT golang\n"
    result, images = lowered(text, golang="target:env")
    assert "A=1" in json.loads(result.config)["config"]["Env"]
    assert images == {"debian:latest"}


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("FROM debian AS tool\n", 'is target:toll, and no stage is called "toll" (did you mean tool?)', 0),
        ("FROM golang\nFROM debian AS toll\n", 'is target:toll, and no stage before this one is called "toll"', 1),
        ("FROM golang AS toll\n", 'is target:toll, and no stage before this one is called "toll"', 1),
        ("FROM debian AS toll\nCOPY --from=golang /a /b\n", "circular dependency detected on stage: toll", 2),
    ],
)
def test_stages_that_cannot_stand_for_others(text: str, message: str, line: int) -> None:
    with pytest.raises(FrontendError) as caught:
        lowered(text, golang="target:toll")
    assert message in caught.value.message
    assert [place.line for place in caught.value.locations] == [line] * bool(line)


def test_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a AS b\n")
    inputs = read_inputs(str(tmp_path), contexts={"Golang:latest": "target:b"})
    assert inputs.options["context:golang"] == "target:b"
