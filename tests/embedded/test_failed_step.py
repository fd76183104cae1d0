"""A step that fails: exit code 1, the line with a caret, the step's own exit code, and all that it printed."""

from pathlib import Path

import pytest

from tests.embedded.command import pybuild

pytestmark = pytest.mark.engine

BUILDFILE = """\
import os

from pybuild import State, oci_layout, target

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")


@target(default=True)
def app() -> State:
    return (
        base.workdir("/work")
        .run("for i in $(seq 500); do echo line $i; done; echo to-stderr >&2; exit 42")
    )
"""


def test_what_the_user_sees(base_layout: Path, warm_root: Path, tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    done = pybuild(
        warm_root, "build", "--progress", "quiet", "-o", "out.d", cwd=tmp_path, env={"PYBUILD_BASE": str(base_layout)}
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error[exec-failed]:")
    assert "exit code: 42" in lines[0] or "exited with code 42" in lines[0]
    assert any(line.startswith(">>") and ".run(" in line for line in lines), done.stderr
    assert any(set(line.strip()) == {"^"} or line.strip("| ").startswith("^") for line in lines), done.stderr
    assert "Buildfile.py:12" in done.stderr
    printed = [line for line in lines if "line " in line or "to-stderr" in line]
    assert sum(line.strip().removeprefix("log: ").startswith("line ") for line in printed) == 500
    assert any("to-stderr" in line for line in printed)
    assert not (tmp_path / "out.d").exists()
    assert done.stdout == ""


def test_an_interrupted_build_says_so(base_layout: Path, warm_root: Path, tmp_path: Path) -> None:
    import signal
    import subprocess
    import time

    from tests.embedded.command import command, environment
    from tests.embedded.killing import processes_of

    text = BUILDFILE.replace("exit 42", "echo started; sleep 60")
    (tmp_path / "Buildfile.py").write_text(text)
    process = subprocess.Popen(
        command(warm_root, "build", "--progress", "plain"),
        cwd=tmp_path,
        env=environment({"PYBUILD_BASE": str(base_layout)}),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith("started"):
            break
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - started < 20
    assert processes_of(warm_root) == []
