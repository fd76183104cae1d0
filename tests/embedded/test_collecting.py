"""A store that is collected by its policy, without being asked: by what a build starts as it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybuild.store.fsck import fsck
from pybuild.store.gcstate import State, read_state
from pybuild.store.store import Store
from tests.embedded.command import REPOSITORY, command, environment, pybuild
from tests.embedded.killing import assert_nothing_left, pids_of, processes_of
from tests.embedded.ordinary import ordinary_user
from tests.embedded.smallbase import small_layout

pytestmark = pytest.mark.engine

BUILDFILE = """
import os
from pybuild import State, cache, oci_layout, scratch, ssh, target

base = oci_layout(os.environ["PYBUILD_BASE"], os.environ["PYBUILD_REF"])

@target(default=True)
def plain() -> State:
    return scratch().write("/file", os.environ.get("TOKEN", "") * 200_000)

@target
def step() -> State:
    return base.run(f"echo {os.environ['TOKEN']} > /made && chown 33:33 /made")

@target
def gated() -> State:
    wait = "touch /gate/begun; while test ! -e /gate/go; do sleep 0.05; done"
    return base.run("echo kept > /kept").run(f"{wait}; cat /kept > /copy").mount(cache("/gate"))

@target
def connected() -> State:
    wait = "touch /gate/begun; while test ! -e /gate/go; do sleep 0.05; done"
    return base.run(wait).mount(cache("/gate"), ssh())
"""
SMALL = "[gc]\nmaxUsedSpace = '500kB'\n"
NOTHING = "[[gc.policy]]\nall = true\n"


class Project:
    """A Buildfile, a configuration file and a store, used as a user does."""

    def __init__(self, directory: Path, layout: Path, ref: str) -> None:
        self.directory = directory
        self.root = directory / "store"
        self.config = directory / "config.toml"
        self.env = {
            "PYBUILD_BASE": str(layout),
            "PYBUILD_REF": ref,
            "PYBUILD_CONFIG": str(self.config),
            "PYBUILD_GC": "on",
        }
        self.config.write_text("")
        (directory / "Buildfile.py").write_text(BUILDFILE)

    def run(self, *arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = pybuild(self.root, *arguments, cwd=self.directory, env={**self.env, **env})
        assert done.returncode == code, done.stderr
        return done

    def build(self, target: str = "plain", **env: str) -> None:
        self.run("build", target, "--progress", "plain", **env)

    def start(self, target: str, *flags: str, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command(self.root, "build", target, "--progress", "plain", *flags),
            cwd=self.directory,
            env=environment({**self.env, **env}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def settled(self) -> State:
        """What is known of the store when nobody works on it any more."""
        assert_nothing_left(self.root, "after a build")
        state = read_state(self.root)
        assert state is not None
        return state

    def records(self, **env: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.run("du", "--format", "json", **env).stdout)
        return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return small_layout(tmp_path_factory.mktemp("small") / "base", "chown")


@pytest.fixture
def project(tmp_path: Path, small: tuple[Path, str]) -> Project:
    return Project(tmp_path, *small)


def until(true: Callable[[], object]) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_store_stays_as_small_as_the_policy_says(project: Project) -> None:
    project.config.write_text(SMALL)
    for token in "abcd":
        project.build(TOKEN=token)
        state = project.settled()
    assert state.size <= 500_000
    assert state.freed >= 200_000
    assert 0 < sum(int(str(record["size"])) for record in project.records()) <= 500_000
    # What was built last is what is kept.
    before = state.checked
    assert "everything is cached" in project.run("plan", TOKEN="d").stdout
    assert "1 of 1 steps would run" in project.run("plan", TOKEN="a").stdout
    policy = project.run("du", "--policy").stdout
    assert "Max used space:  500kB" in policy
    assert f"Policy:        {project.config}" in policy
    assert "Last removed:" in policy
    assert project.settled().checked == before


def test_nothing_is_started_when_nothing_is_due(project: Project) -> None:
    project.build(TOKEN="a")
    first = read_state(project.root)
    project.build(TOKEN="b")
    project.build(TOKEN="b")
    assert processes_of(project.root) == []
    assert read_state(project.root) == first


def test_switched_off(project: Project) -> None:
    project.config.write_text(SMALL)
    for token in "abcd":
        project.build(TOKEN=token, PYBUILD_GC="off")
    assert processes_of(project.root) == []
    assert sum(record["kind"] == "snapshot" for record in project.records()) == 4
    printed = project.run("du", PYBUILD_GC="off").stdout
    assert "Due to go:    nothing (switched off by $PYBUILD_GC)" in printed
    assert "records, " in project.run("du").stdout.splitlines()[-1]
    removed = json.loads(project.run("prune", "--policy", "--format", "json").stdout)
    assert removed["left"] <= 500_000
    assert project.run("du").stdout.splitlines()[-1] == "Due to go:    nothing"


def test_what_a_running_build_uses_stays(project: Project) -> None:
    project.config.write_text(NOTHING)
    running = project.start("gated")
    until(lambda: list(project.root.glob("cache-mounts/*/*/tree/begun")))
    before = read_state(project.root)
    project.build(TOKEN="a")
    until(lambda: read_state(project.root) != before)
    held = [record for record in project.records() if record["in_use"]]
    assert {"snapshot", "content", "cache-mount"} <= {record["kind"] for record in held}
    next(project.root.glob("cache-mounts/*/*/tree/begun")).with_name("go").touch()
    assert running.wait(60) == 0
    project.settled()
    assert {record["kind"] for record in project.records()} <= {"record"}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory for temporary files; paths of sockets are short."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="OpenSSH is not installed")
def test_what_killed_builds_left_goes_with_the_next_build(project: Project, temporary: Path) -> None:
    key = project.directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    project.env["TMPDIR"] = str(temporary)
    project.build(TOKEN="a")
    with project.start("connected", "--ssh", f"default={key}") as running:
        until(lambda: list(project.root.glob("cache-mounts/*/*/tree/begun")))
        for pid in (running.pid, *pids_of(project.root)):
            with contextlib.suppress(ProcessLookupError):  # ends as the others do
                os.kill(pid, signal.SIGKILL)
    assert_nothing_left(project.root, "killed")
    assert len(list(temporary.glob("pybuild-*/ssh-*"))) == 1
    store = Store.open(project.root)
    assert {finding.kind for finding in fsck(store)} >= {"lease", "unfinished"}
    kinds = {
        finding["kind"] for finding in json.loads(project.run("fsck", "--format", "json", code=1).stdout)["problems"]
    }
    assert "temporary" in kinds
    project.build(TOKEN="a")  # of which everything is cached
    project.settled()
    assert fsck(store) == []
    assert json.loads(project.run("fsck", "--format", "json").stdout) == {"ok": True, "problems": []}
    store.close()
    assert list(temporary.glob("pybuild-*/*")) == []
    for folder in ("leases", "locks", "tmp", "ingest", "workers"):
        assert not (project.root / folder).is_dir() or os.listdir(project.root / folder) == []


def test_a_wrong_configuration_is_one_error(project: Project) -> None:
    project.config.write_text("[gc]\nmaxUsedSpace = 'much'\n")
    for arguments in (["build"], ["du"], ["du", "--policy"], ["prune", "--policy"]):
        done = project.run(*arguments, code=2, TOKEN="a")
        assert done.stderr.startswith('error[config]: gc.maxUsedSpace: "much" is not an amount of disk space\n')
        assert "config.toml:2" in done.stderr
        assert done.stdout == ""
    assert os.listdir(project.root / "snapshots") == []


@pytest.fixture
def users_project(small: tuple[Path, str]) -> Iterator[tuple[Callable[..., str], Path]]:
    """The same for an ordinary user: how to run a command, and where the store is."""
    if shutil.which("newuidmap") is None:
        pytest.skip("newuidmap is not installed")
    with ordinary_user(REPOSITORY) as user:
        layout = user.home / "layout"
        shutil.copytree(small[0], layout)
        project = Project(user.home, layout, small[1])
        project.config.write_text(NOTHING)
        subprocess.run(["chmod", "-R", "a+rX", layout, project.config, user.home / "Buildfile.py"], check=True)

        def run(*arguments: str) -> str:
            env = environment({**project.env, "TOKEN": "a"})
            done = user.run(*command(project.root, *arguments), env=env)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        yield run, project.root


def test_files_of_subordinate_ids_go_too(users_project: tuple[Callable[..., str], Path]) -> None:
    run, root = users_project
    run("build", "step", "--progress", "plain")
    assert_nothing_left(root, "after a build")
    assert os.listdir(root / "snapshots") == os.listdir(root / "tmp") == []
    assert {record["kind"] for record in json.loads(run("du", "--format", "json"))} == {"record"}
