"""`prune --all` in a loop beside builds in parallel: none fails, no file is lost, nothing is left."""

import random
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pybuild.store.store import Store
from tests.embedded.command import command, environment, pybuild
from tests.embedded.killing import assert_consistent, assert_repairable
from tests.embedded.pruning import assert_clean, assert_empty, prepare, prune_and_build, prune_until
from tests.embedded.smallbase import small_layout

pytestmark = pytest.mark.engine


def test_builds_beside_prune(tmp_path: Path) -> None:
    layout, ref = small_layout(tmp_path / "base")
    prepare(tmp_path / "project")
    root = tmp_path / "store"
    prune_and_build(root, tmp_path / "project", layout, ref, rounds=3)
    assert pybuild(root, "prune", "--all", cwd=tmp_path).returncode == 0
    assert_empty(root)


def test_d1_images_are_the_same_as_without_prune(tmp_path: Path) -> None:
    layout, ref = small_layout(tmp_path / "base")
    project = tmp_path / "project"
    prepare(project)
    env = {"PYBUILD_BASE": str(layout), "PYBUILD_REF": ref, "TOKEN": "d1", "SOURCE_DATE_EPOCH": "1000000000"}

    def build(root: Path, number: int) -> bytes:
        output = project / f"{root.name}-{number}.tar"
        line = ["build", "--progress", "plain", "-o", f"type=oci,rewrite-timestamp=true,dest={output}"]
        done = pybuild(root, *line, cwd=project, env={**env, "NUMBER": str(number)})
        assert done.returncode == 0, done.stderr
        return output.read_bytes()

    done = threading.Event()
    with ThreadPoolExecutor(5) as pool:
        pruner = pool.submit(prune_until, tmp_path / "pruned", project, done, 0.1)
        try:
            beside = list(pool.map(lambda number: build(tmp_path / "pruned", number), range(4)))
        finally:
            done.set()
    assert pruner.result() > 0
    assert beside == [build(tmp_path / "quiet", number) for number in range(4)]


def test_killed_prunes(tmp_path: Path) -> None:
    root = tmp_path / "store"
    seed = random.SystemRandom().randrange(1 << 30)
    generator = random.Random(seed)
    for number in range(6):
        store = Store.open(root, snapshotter="native")
        for name in range(60):
            if f"{number}-{name}" not in (info.key for info in store.snapshots.walk()):
                store.snapshots.prepare("active")
                for file in range(10):
                    (store.snapshots.upper("active") / f"{file}").write_text("x")
                store.snapshots.commit(f"{number}-{name}", "active")
        store.close()
        with subprocess.Popen(command(root, "prune", "--all"), env=environment(), stdout=subprocess.DEVNULL) as process:
            time.sleep(generator.uniform(0.1, 0.5))
            process.kill()
        when = f"seed {seed}, round {number}"
        assert_consistent(root)
        if number % 2:
            assert_repairable(root, when)
        else:  # one collection, which here finds nothing else to remove, puts everything right
            assert pybuild(root, "prune", "--filter", "id=nothing", cwd=tmp_path).returncode == 0
            assert_clean(root)
    assert pybuild(root, "prune", "--all", cwd=tmp_path).returncode == 0
    assert_empty(root)
