"""Temporary directories whose process was killed go with the next one that is made; those of the living stay."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.temporary import TemporaryFolder, abandoned, sweep

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from pybuild.temporary import TemporaryFolder
folder = TemporaryFolder("child-")
(folder.path / "file").write_text("text")
print(folder.path, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def child(place: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        yield process
        process.kill()


def path_of(child: "subprocess.Popen[str]") -> Path:
    assert child.stdout is not None
    return Path(child.stdout.readline().strip())


def test_it_goes_with_the_block(place: Path) -> None:
    with TemporaryFolder("some-") as name:
        path = Path(name)
        assert path.name.startswith("some-")
        assert path.parent == place / f"pybuild-{os.getuid()}"
        assert path.parent.stat().st_mode & 0o077 == 0
        (path / "directory").mkdir()
    assert not path.exists()


def test_it_goes_with_its_object_and_only_once() -> None:
    folder = TemporaryFolder()
    path = folder.path
    folder.remove()
    path.mkdir()
    folder.remove()
    assert path.is_dir()
    other = TemporaryFolder()
    gone = other.path
    del other
    assert not gone.exists()


def test_the_living_keep_theirs(child: "subprocess.Popen[str]") -> None:
    path = path_of(child)
    with TemporaryFolder() as name:
        assert abandoned() == sweep() == []
        assert (path / "file").is_file()
        assert Path(name).is_dir()
    child.communicate("\n")
    assert not path.exists()


def test_what_the_dead_left_goes_with_the_next(child: "subprocess.Popen[str]") -> None:
    path = path_of(child)
    child.kill()
    child.wait()
    assert (path / "file").is_file()
    assert abandoned() == [path]
    assert (path / "file").is_file()
    with TemporaryFolder():
        assert not path.exists()


def test_a_place_that_others_may_enter_is_not_used(place: Path) -> None:
    shared = place / f"pybuild-{os.getuid()}"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    (shared / "not-ours").mkdir()
    with TemporaryFolder("some-") as name:
        assert Path(name).parent == place
        assert Path(name).name.startswith("pybuild-some-")
    assert sweep() == []
    assert [path.name for path in place.iterdir()] == [shared.name]
    assert (shared / "not-ours").is_dir()


def test_a_fork_leaves_it_alone() -> None:
    folder = TemporaryFolder()
    child = os.fork()
    if not child:
        folder.remove()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert folder.path.is_dir()
    folder.remove()
