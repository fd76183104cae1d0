"""Steps for a platform that is not this machine's: run where the kernel has an interpreter, refused with reasons."""

import pytest

from pybuild import scratch
from pybuild.errors import EngineUnavailable
from pybuild.platform import host_platform, parse_platform
from pybuild.runtime.emulation import registered, why_not
from tests.embedded.conftest import Builder, unique
from tests.embedded.foreign import arm64_program

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(host_platform().architecture == "arm64", reason="arm64 is this machine's own platform"),
]


def test_a_step_for_arm64(build: Builder) -> None:
    text = f"hello from arm64 {unique()}"
    program = arm64_program(f"{text}\n".encode())
    state = scratch().write("/hello", program, mode=0o755).run(["/hello"])
    reason = why_not(parse_platform("linux/arm64"), host_platform(), registered())
    if not reason:
        build(state, platforms=["linux/arm64"])
        assert text in build.log
        return
    with pytest.raises(EngineUnavailable, match="a step for linux/arm64 cannot run on") as caught:
        build(state, platforms=["linux/arm64"])
    assert reason in caught.value.message
    assert "qemu-user-static" in caught.value.hint


def test_files_alone_need_no_interpreter(build: Builder) -> None:
    image = build.image(scratch().write("/a", unique()), platforms=["linux/s390x"])
    assert image.config["architecture"] == "s390x"
