"""`definition`: the wire form of a state, without an engine."""

from __future__ import annotations

import pytest

from pybuild import image, local, scratch
from pybuild.errors import UnresolvedError
from pybuild.llb.unmarshal import unmarshal


def test_the_definition_reads_back_as_the_same_ops() -> None:
    state = image("alpine").copy(image("busybox").path("/bin/sh"), "/bin/sh").write("/motd", "welcome")
    read = unmarshal(state.definition(platform="linux/arm64"))
    names = [vertex.op.identifier for vertex in read.vertices if hasattr(vertex.op, "identifier")]
    assert sorted(names) == [
        "docker-image://docker.io/library/alpine:latest",
        "docker-image://docker.io/library/busybox:latest",
    ]


def test_a_step_that_inherits_from_an_image_needs_it_looked_up() -> None:
    with pytest.raises(UnresolvedError, match="alpine:latest") as caught:
        image("alpine").run("make").definition()
    assert caught.value.locations[0].file.endswith("test_inspection.py")


def test_what_inherits_from_nothing_has_a_definition() -> None:
    assert len(scratch().run(["/app"]).definition().ops) == 2
    assert len(local(".").run("make").definition().ops) == 3
    assert scratch().definition().ops == ()


def test_the_platform_is_in_the_definition() -> None:
    state = image("alpine")
    arm, amd = (state.definition(platform=f"linux/{arch}").ops[0] for arch in ("arm64", "amd64"))
    assert arm != amd
    assert image("alpine", platform="linux/arm64").definition().ops[0] == arm
