"""`pybuild fsck` as its users run it, on a store of real builds; and builds on stores that are damaged."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pybuild.store.store import Store
from tests.embedded.command import pybuild
from tests.embedded.killing import prepare

pytestmark = pytest.mark.engine


class Project:
    """A project with a store; `wanted` are the files that it makes."""

    def __init__(self, base: Path, directory: Path, root: Path) -> None:
        self.base, self.directory, self.root = base, directory, root
        self.wanted: dict[str, bytes] = {}

    def build(self) -> dict[str, bytes]:
        output = self.directory / "out"
        line = ["build", "--progress", "plain", "--secret", "id=key,src=key", "-o", f"type=local,dest={output}"]
        env = {"PYBUILD_BASE": str(self.base), "TOKEN": "token"}
        done = pybuild(self.root, *line, cwd=self.directory, env=env)
        assert done.returncode == 0, done.stderr
        found = {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}
        shutil.rmtree(output)
        return found

    def fsck(self, *options: str) -> tuple[int, list[dict[str, object]]]:
        done = pybuild(self.root, "fsck", "--format", "json", *options, cwd=self.directory)
        report = json.loads(done.stdout)
        assert report["ok"] == (done.returncode == 0)
        return done.returncode, report["problems"]


@pytest.fixture(scope="module")
def built(base_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    place = tmp_path_factory.mktemp("fsck")
    prepare(place / "project")
    project = Project(base_layout, place / "project", place / "store")
    project.wanted = project.build()
    assert len(project.wanted) == 4
    assert project.fsck() == (0, [])
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """The same with a store of its own, which may be damaged."""
    subprocess.run(["cp", "-a", built.root, tmp_path / "store"], check=True)
    copied = Project(built.base, built.directory, tmp_path / "store")
    copied.wanted = built.wanted
    return copied


def largest_blob(root: Path) -> Path:
    return max((root / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)


def test_a_damaged_store_is_repaired(project: Project) -> None:
    with largest_blob(project.root).open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    store = Store.open(project.root)
    steps = [record.ref.snapshot for record in store.cache.records() if "mkdir" in record.description]
    (store.snapshots.upper(steps[0]) / "out" / "a").unlink(missing_ok=True)
    shutil.rmtree(store.snapshots.upper(steps[1]))
    store.close()
    code, problems = project.fsck()
    assert code == 1
    assert {problem["kind"] for problem in problems} == {"blob", "snapshot"}
    code, repaired = project.fsck("--repair")
    assert code == 0
    assert all(problem["repaired"] for problem in repaired)
    assert project.fsck() == (0, [])
    assert project.build() == project.wanted
    assert project.fsck() == (0, [])


def test_a_build_replaces_a_damaged_blob(project: Project) -> None:
    blob = largest_blob(project.root)
    os.truncate(blob, 1000)
    store = Store.open(project.root)
    store.gc.prune(all=True, filters={"kind": "snapshot"})
    store.close()
    assert blob.exists()
    assert project.build() == project.wanted
    assert project.fsck() == (0, [])


def test_a_damaged_database_is_one_clear_error(project: Project) -> None:
    assert project.fsck() == (0, [])  # a copy is looked at when it is opened first
    for path in project.root.glob("store.db-*"):  # what sqlite has not moved into the file yet
        path.unlink()
    (project.root / "store.db").write_bytes(b"no database at all\n" * 1000)
    done = pybuild(project.root, "du", cwd=project.directory)
    assert done.returncode == 1
    assert "error[store-damaged]: the store's database is damaged" in done.stderr
    assert "pybuild fsck --repair" in done.stderr
    assert project.fsck()[0] == 1
    assert project.fsck("--repair")[0] == 0
    assert project.build() == project.wanted
    assert project.fsck() == (0, [])


def test_the_report(project: Project) -> None:
    Store.open(project.root).close()
    done = pybuild(project.root, "fsck", cwd=project.directory)
    assert (done.returncode, done.stdout) == (0, f'the store in "{project.root}" is in order\n')
    (project.root / "ingest" / "0123456789abcdef-1").touch()
    done = pybuild(project.root, "fsck", cwd=project.directory)
    line = "leftover ingest/0123456789abcdef-1: unfinished blob"
    assert (done.returncode, done.stdout) == (
        1,
        f"wrong: {line}\n\n1 problem; pybuild fsck --repair puts right what is wrong\n",
    )
    done = pybuild(project.root, "fsck", "--repair", cwd=project.directory)
    assert (done.returncode, done.stdout) == (0, f"repaired: {line}\n\n1 problem, all put right\n")
