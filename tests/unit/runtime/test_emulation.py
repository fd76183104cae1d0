"""What the kernel says of interpreters, and what follows for steps."""

from pathlib import Path

import pytest

from pybuild.platform import Platform, parse_platform
from pybuild.runtime.emulation import parse_entry, registered, why_not

AMD64 = Platform("linux", "amd64")
ARM64 = "7f454c460201010000000000000000000200b700"
S390X = "7f454c4602020100000000000000000000020016"


def entry(magic: str, *, flags: str = "OCF", state: str = "enabled") -> str:
    return f"{state}\ninterpreter /usr/bin/qemu-static\nflags: {flags}\noffset 0\nmagic {magic}\nmask {'f' * 40}\n"


@pytest.mark.parametrize(
    ("texts", "wanted", "reason"),
    [
        ([entry(ARM64)], "linux/arm64", ""),
        ([entry(ARM64)], "linux/arm64/v8", ""),
        ([entry(ARM64)], "linux/arm/v7", "no interpreter for arm is registered"),
        ([entry(S390X)], "linux/s390x", ""),
        ([entry(ARM64, flags="OC")], "linux/arm64", "without the flag F"),
        ([entry(ARM64, flags="")], "linux/arm64", "without the flag F"),
        ([entry(ARM64, state="disabled")], "linux/arm64", "switched off"),
        ([entry(ARM64, state="disabled"), entry(ARM64)], "linux/arm64", ""),
        ([], "linux/amd64", ""),
        ([], "linux/386", ""),
        ([], "windows/amd64", "this is linux"),
        (["enabled\ninterpreter /usr/bin/python3\nflags: \nextension .pyc\n"], "linux/arm64", "no interpreter"),
        (["enabled\ninterpreter /usr/bin/cli\nflags: \noffset 0\nmagic 4d5a\n"], "linux/arm64", "no interpreter"),
    ],
)
def test_what_runs(tmp_path: Path, texts: list[str], wanted: str, reason: str) -> None:
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").touch(mode=0o200)
    for number, text in enumerate(texts):
        (tmp_path / f"qemu-{number}").write_text(text)
    found = why_not(parse_platform(wanted), AMD64, registered(tmp_path))
    assert reason in found
    assert bool(reason) == bool(found)


def test_arm64_machines_run_arm_themselves() -> None:
    assert why_not(parse_platform("linux/arm/v7"), Platform("linux", "arm64"), []) == ""
    assert parse_entry("empty", "") is None
