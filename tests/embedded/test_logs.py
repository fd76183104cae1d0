"""`pybuild logs`: what the steps of the last build printed, also of those that were cached, failed or stopped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.embedded.command import command, environment, pybuild

Run: TypeAlias = "Callable[..., subprocess.CompletedProcess[str]]"
pytestmark = pytest.mark.engine

BUILDFILE = """\
import os

from pybuild import State, oci_layout, secret, target

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")


@target(default=True)
def app() -> State:
    return (
        base.env(TOKEN=os.environ.get("TOKEN", ""))
        .run("echo first; cat /key", mounts=[secret("key", "/key")])
        .write("/motd", "hi")
        .run("echo second; echo to stderr >&2")
    )


@target
def raw() -> State:
    return base.run(r"printf 'raw \\377'; echo to stderr >&2")


@target
def broken() -> State:
    waits = base.run("echo waits; touch /ready; sleep 1000")
    return base.run("echo before; sleep 1; echo the end; exit 3").copy(waits, "/x").run("never")
"""


@pytest.fixture
def run(base_layout: Path, warm_root: Path, tmp_path: Path) -> Run:
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    (tmp_path / "key").write_text("of-the-test\n")

    def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {"PYBUILD_BASE": str(base_layout), "TOKEN": tmp_path.name}
        return pybuild(warm_root, *arguments, cwd=tmp_path, env=env)

    return run_command


BUILD = ("build", "-q", "--secret", "id=key,src=key")


def test_of_a_build_that_ran_and_of_one_that_was_cached(
    run: Run,
) -> None:
    for word in ("DONE", "CACHED"):
        assert run(*BUILD).returncode == 0
        shown = run("logs").stdout
        assert shown.startswith("app: finished ")
        assert f"{word}" in shown.partition("echo first")[2].splitlines()[0]
        assert "\nfirst\n" in shown
        assert "of-the-test" not in shown, "secrets are masked"
        assert run("logs", "app@echo first").stdout.startswith("first\n")
        assert run("logs", "@motd").stdout == ""


def test_bytes_are_as_they_were_printed(run: Run, base_layout: Path, warm_root: Path, tmp_path: Path) -> None:
    assert run(*BUILD, "raw").returncode == 0
    printed = subprocess.run(
        command(warm_root, "logs", "@printf"), cwd=tmp_path, env=environment(), capture_output=True, check=True
    )
    assert b"raw \xff" in printed.stdout
    assert b"to stderr\n" in printed.stdout


def test_of_a_build_that_failed(run: Run) -> None:
    assert run(*BUILD, "broken").returncode == 1
    assert run("logs", "broken@the end").stdout == "before\nthe end\n"
    document = json.loads(run("logs", "broken", "--format", "json").stdout)
    assert document["state"] == "failed"
    assert "exited with code 3" in document["error"]
    found = {step["name"]: (step["state"], step["log"]) for step in document["steps"]}
    assert found["[broken] echo before; sleep 1; echo the end; exit 3"] == ("failed", "before\nthe end\n")
    assert found["[broken] echo waits; touch /ready; sleep 1000"] == ("canceled", "waits\n")
    assert found["[broken] never"] == ("skipped", "")
    (place,) = {step["place"] for step in document["steps"] if "the end" in step["name"]}
    assert place == "Buildfile.py:26"


def test_each_target_has_its_own(run: Run) -> None:
    assert run(*BUILD).returncode == 0
    assert run(*BUILD, "broken").returncode == 1
    assert run("logs").stdout.startswith("broken: failed")
    assert run("logs", "app").stdout.startswith("app: finished")
    assert run(*BUILD).returncode == 0
    assert run("logs").stdout.startswith("app: finished"), "a build of which everything is cached is the last one"
    listed = json.loads(run("logs", "--list", "--format", "json").stdout)
    assert [build["target"] for build in listed[:2]] == ["app", "broken"]
    assert "broken" in run("logs", "--list").stdout


def test_what_is_not_there(run: Run) -> None:
    nothing = run("logs")
    assert nothing.returncode == 3
    assert "nothing is known of a build that was started in this directory" in nothing.stderr
    assert run(*BUILD).returncode == 0
    for arguments, words in (
        (["nonsense"], 'nothing is known of a build of "nonsense" here'),
        (["@nonsense"], 'there is no step "nonsense"'),
        (["@echo"], '2 steps are called "echo"'),
        (["@99"], 'there is no step "99"'),
    ):
        done = run("logs", *arguments)
        assert done.returncode == 3
        assert words in done.stderr
        assert done.stdout == ""
