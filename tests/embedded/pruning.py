"""Builds in parallel while the store is pruned all the time; used by the quick test and by the soak run."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pybuild.store.fsck import fsck
from pybuild.store.store import Store
from tests.embedded.command import command, environment, pybuild
from tests.embedded.killing import assert_consistent, assert_nothing_left

BUILDFILE = """
import os
from pybuild import State, bind, cache, local, merge, oci_layout, scratch, target

base = oci_layout(os.environ["PYBUILD_BASE"], os.environ["PYBUILD_REF"])
token, number = os.environ["TOKEN"], os.environ["NUMBER"]
shared = base.run(f"echo {token} > /shared && sleep 0.1")  # of all builds of a round

@target(default=True)
def result() -> State:
    # After the first step, which may be shared with the last round, and after one that no other build has.
    own = shared.run(f"read x < /shared && echo $x {number} > /own && sleep 0.1").mount(bind(local("src"), "/src"))
    third = own.run("read x < /own && echo $x again > /third").mount(cache("/cache"))
    both = merge(scratch().copy(own.path("/own"), "/own"), scratch().copy(third.path("/third"), "/third"))
    return both.copy(shared.path("/shared"), "/shared").copy(local("src").path("file"), "/file")
"""


def prepare(directory: Path) -> None:
    """A Buildfile with steps that all builds share and steps that only one has."""
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "file").write_text("content\n")
    (directory / "Buildfile.py").write_text(BUILDFILE)


def expected(token: str, number: int) -> dict[str, str]:
    """What a build exports."""
    own = f"{token} {number}"
    return {"shared": f"{token}\n", "own": f"{own}\n", "third": f"{own} again\n", "file": "content\n"}


def prune_and_build(root: Path, directory: Path, layout: Path, ref: str, *, rounds: int, builds: int = 8) -> None:
    """Rounds of builds in parallel, each of them beside a loop of `prune --all`.

    Every other round builds the same as the one before, so that what is cached is pruned under those that found it. In
    every third one each build starts a collection as it ends, by a policy that keeps nothing.
    """
    config = directory / "config.toml"
    config.write_text("[[gc.policy]]\nall = true\n")
    for number in range(rounds):
        env = {"PYBUILD_BASE": str(layout), "PYBUILD_REF": ref}
        if number % 3 == 2:
            env |= {"PYBUILD_GC": "on", "PYBUILD_CONFIG": str(config)}
        token = f"round-{number // 2}"
        done = threading.Event()
        with ThreadPoolExecutor(builds + 2) as pool:
            pruners = [pool.submit(prune_until, root, directory, done, pause) for pause in (0.0, 0.1)]
            try:
                futures = [pool.submit(_build, root, directory, env, token, build) for build in range(builds)]
                found = [future.result() for future in futures]
            finally:
                done.set()
            pruned = [pruner.result() for pruner in pruners]
        assert found == [expected(token, build) for build in range(builds)], f"round {number}"
        assert min(pruned) > 0
        assert_nothing_left(root, f"round {number}")
        assert_clean(root)


def _build(root: Path, directory: Path, env: dict[str, str], token: str, number: int) -> dict[str, str]:
    output = directory / f"out-{number}"
    line = ["build", "--progress", "plain", "-o", f"type=local,dest={output}"]
    done = pybuild(root, *line, cwd=directory, env={**env, "TOKEN": token, "NUMBER": str(number)})
    assert done.returncode == 0, f"{token}, build {number}: {done.stderr}"
    found = {path.name: path.read_text() for path in output.iterdir()}
    shutil.rmtree(output)
    return found


def prune_until(root: Path, directory: Path, done: threading.Event, pause: float) -> int:
    """Prune until it is `done`; returns how often."""
    count = 0
    while not done.is_set():
        pruned = subprocess.run(
            command(root, "prune", "--all"),
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert pruned.returncode == 0, pruned.stderr
        count += 1
        time.sleep(pause)
    return count


def assert_clean(root: Path) -> None:
    """A store that nobody uses has no problems, and nothing that only the living need."""
    assert_consistent(root)
    store = Store.open(root)
    try:
        assert fsck(store) == []
        for folder in ("leases", "locks", "ingest", "tmp", "workers"):
            assert not (root / folder).is_dir() or os.listdir(root / folder) == [], folder
        rows = store.database.connection.execute("SELECT count(*) FROM leases").fetchone()[0]
        assert rows == 0
    finally:
        store.close()


def assert_empty(root: Path) -> None:
    """After the last prune nothing is left but what explains the next build."""
    store = Store.open(root)
    try:
        assert {record.id.partition("/")[0] for record in store.gc.usage()} <= {"builds"}
        assert os.listdir(root / "snapshots") == []
        assert os.listdir(root / "blobs" / "sha256") == []
    finally:
        store.close()
