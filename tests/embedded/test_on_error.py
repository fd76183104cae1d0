"""`pybuild build --on-error shell`: a shell in the step that failed, as it was at that moment."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pybuild.store.store import Store
from tests.embedded.command import command, environment, pybuild
from tests.embedded.killing import processes_of
from tests.embedded.terminals import OnTerminal

pytestmark = pytest.mark.engine

BUILDFILE = """\
import os

from pybuild import State, bind, cache, oci_layout, scratch, secret, target

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")


@target(default=True)
def app() -> State:
    return (
        base.env(COLOR="red").workdir("/work").user("games")
        .run(
            "echo partial > /tmp/made; echo cached > /cache/made; echo the last words; exit 42",
            mounts=[
                cache("/cache", mode=0o777), bind(scratch().write("/file", "bound"), "/bound"),
                secret("key", "/key", mode=0o444), secret("key", env="KEY"),
            ],
        )
        .run("never")
    )


@target
def slow() -> State:
    other = base.run("echo other started; sleep 1000")
    return base.run("until false; do sleep 0.2; break; done; exit 3").copy(other, "/x")


@target
def bare() -> State:
    return scratch().run(["/nothing"])


@target
def good() -> State:
    return scratch().write("/motd", "hi")
"""
FAILED = 'error[exec-failed]: process "/bin/sh -c echo partial'


@pytest.fixture
def project(base_layout: Path, tmp_path: Path) -> Path:
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    (tmp_path / "key").write_text("of-the-test")
    (tmp_path / "Dockerfile").write_text("FROM base\nWORKDIR /w\nRUN echo made > f && exit 11\n")
    return tmp_path


ARGUMENTS = ("build", "--secret", "id=key,src=key", "--progress", "plain")


def variables(base: Path) -> Mapping[str, str]:
    return {"PYBUILD_BASE": str(base)}


def test_a_shell_on_a_terminal(project: Path, base_layout: Path, warm_root: Path) -> None:
    before = {info.key for info in Store.open(warm_root).snapshots.walk()}
    args = command(warm_root, *ARGUMENTS, "--on-error", "shell", "-o", "out")
    with OnTerminal(args, cwd=project, env=environment(variables(base_layout))) as shell:
        shown = shell.expect("games@buildkitsandbox:/work$ ")
        assert FAILED in shown, "what failed is shown"
        assert "the last words" in shown
        assert ">> 13 |" in shown
        shell.type("pwd; cat /tmp/made /cache/made /bound/file /key; echo; echo $KEY $COLOR; id -un\r")
        found = shell.expect("games@buildkitsandbox:/work$ ").splitlines()[1:]
        assert found == ["/work", "partial", "cached", "boundof-the-test", "of-the-test red", "games"]
        shell.type("exit 5\r")
        assert shell.ended() == 42, "the step's exit code"
        assert FAILED in shell.text
        assert shell.settings() == shell.before
    assert not (project / "out").exists()
    assert processes_of(warm_root) == []
    assert {info.key for info in Store.open(warm_root).snapshots.walk()} - before <= {
        info.key for info in Store.open(warm_root).snapshots.walk() if info.kind == "committed"
    }


def test_a_command_without_a_terminal(project: Path, base_layout: Path, warm_root: Path) -> None:
    look = "shell:sh -c 'cat /tmp/made /bound/file /key; read line; echo end of input $COLOR'"
    done = pybuild(warm_root, *ARGUMENTS, "--on-error", look, cwd=project, env=variables(base_layout))
    assert done.returncode == 42
    assert done.stdout.startswith("partial\nbound")
    assert done.stdout.endswith("end of input red\n")
    assert "of-the-test" not in done.stdout
    assert done.stderr.count(FAILED) >= 2


def test_a_shell_needs_a_terminal(project: Path, base_layout: Path, warm_root: Path) -> None:
    done = pybuild(warm_root, *ARGUMENTS, "--on-error", "shell", cwd=project, env=variables(base_layout))
    assert done.returncode == 2
    assert "--on-error shell needs a terminal" in done.stderr
    assert "shell:ls -l" in done.stderr
    assert "the last words" not in done.stderr, "refused before anything ran"


@pytest.mark.parametrize("wrong", ["bash", "shell:", "shell:'x", "continue"])
def test_other_forms_are_refused(project: Path, base_layout: Path, warm_root: Path, wrong: str) -> None:
    done = pybuild(warm_root, *ARGUMENTS, "--on-error", wrong, cwd=project, env=variables(base_layout))
    assert done.returncode == 2
    assert done.stderr.startswith("error[usage]: --on-error")


def test_what_else_runs_is_stopped_first(project: Path, base_layout: Path, warm_root: Path) -> None:
    done = pybuild(
        warm_root, *ARGUMENTS, "slow", "--on-error", "shell:echo looked", cwd=project, env=variables(base_layout)
    )
    assert (done.returncode, done.stdout) == (3, "looked\n")
    assert "CANCELED" in done.stderr
    assert processes_of(warm_root) == []


def test_no_shell_in_there(project: Path, base_layout: Path, warm_root: Path) -> None:
    args = command(warm_root, *ARGUMENTS, "bare", "--on-error", "shell")
    with OnTerminal(args, cwd=project, env=environment(variables(base_layout))) as shell:
        assert shell.ended() == 1
        assert "no shell was opened: there is no shell in the file system of this step" in shell.text


def test_a_build_that_succeeds(project: Path, base_layout: Path, warm_root: Path) -> None:
    done = pybuild(
        warm_root, *ARGUMENTS, "good", "--on-error", "shell:false", "-o", "out", cwd=project, env=variables(base_layout)
    )
    assert done.returncode == 0
    assert (project / "out" / "motd").read_text() == "hi"


def test_dockerfiles(project: Path, base_layout: Path, warm_root: Path) -> None:
    context = f"base=oci-layout://{base_layout}:bookworm"
    done = pybuild(
        warm_root,
        "build",
        "-f",
        "Dockerfile",
        "--build-context",
        context,
        "--on-error",
        "shell:cat f",
        ".",
        cwd=project,
    )
    assert (done.returncode, done.stdout) == (11, "made\n")


def test_an_interrupt_ends_the_command(project: Path, base_layout: Path, warm_root: Path) -> None:
    import signal

    process = subprocess.Popen(
        command(warm_root, *ARGUMENTS, "--on-error", "shell:sh -c 'echo looking; sleep 1000'"),
        cwd=project,
        env=environment(variables(base_layout)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "looking\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert processes_of(warm_root) == []
