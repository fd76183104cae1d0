"""What mounting leaves in a layer: nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pybuild.solver.mountpoints import MountPoints, drop_copies, opened_in
from pybuild.store.tree import LayeredTree

TIME = (1_700_000_000_000_000_000, 1_700_000_000_000_000_000)


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    """A layer with copies of the directories of the one below, as overlayfs makes them."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for layer in (upper, lower):
        (layer / "a" / "b").mkdir(parents=True)
        for path in (layer / "a" / "b", layer / "a", layer):
            os.utime(path, ns=TIME)
    return upper, lower


def left(upper: Path) -> list[str]:
    return sorted(str(path.relative_to(upper)) for path in upper.rglob("*"))


def test_copies_go_and_times_stay(layers: tuple[Path, Path]) -> None:
    upper, lower = layers
    drop_copies(upper, LayeredTree((lower,)), {"/a/b", "/a", "/"})
    assert left(upper) == []
    assert upper.stat().st_mtime_ns == TIME[1]


def test_what_says_something_stays(layers: tuple[Path, Path]) -> None:
    upper, lower = layers
    (upper / "a" / "file").touch()
    os.utime(upper / "a", ns=TIME)
    drop_copies(upper, LayeredTree((lower,)), {"/a/b"})
    assert left(upper) == ["a", "a/file"]
    (upper / "a" / "file").unlink()
    (upper / "a").chmod(0o700)
    drop_copies(upper, LayeredTree((lower,)), {"/a"})
    assert left(upper) == ["a"], "another mode"
    (lower / "a").chmod(0o700)
    os.utime(upper / "a", ns=(0, 0))
    drop_copies(upper, LayeredTree((lower,)), {"/a"})
    assert left(upper) == ["a"], "another time"
    drop_copies(upper, LayeredTree(()), {"/a"})
    assert left(upper) == ["a"], "nothing below"


def test_links_are_not_followed_out_of_the_layer(layers: tuple[Path, Path], tmp_path: Path) -> None:
    upper, lower = layers
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    os.utime(outside / "b", ns=TIME)
    (upper / "a" / "b").rmdir()
    (upper / "a").rmdir()
    (upper / "a").symlink_to(outside)
    drop_copies(upper, LayeredTree((lower,)), {"/a/b"})
    assert (outside / "b").is_dir()


@pytest.mark.parametrize("is_directory", [True, False])
def test_cleaning_follows_no_link_that_a_step_left(tmp_path: Path, is_directory: bool) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "old").mkdir(parents=True)
    outside.mkdir()
    points = MountPoints(root)
    points.prepare("/made/place", is_directory=is_directory)
    points.prepare("/old/place", is_directory=is_directory)
    (outside / "place").mkdir() if is_directory else (outside / "place").touch()
    os.utime(outside, ns=TIME)
    for name in ("made", "old"):
        (root / name).rename(root / f"moved-{name}")
        (root / name).symlink_to(outside)
    points.clean()
    assert (outside / "place").exists()
    assert outside.stat().st_mtime_ns == TIME[1]


def test_what_was_made_goes_again(tmp_path: Path) -> None:
    os.utime(tmp_path, ns=TIME)
    points = MountPoints(tmp_path)
    points.prepare("/a/b", is_directory=True)
    points.prepare("/file", is_directory=False)
    points.clean()
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime_ns == TIME[1]


def test_opening_inside_a_directory_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    root = str(tmp_path / "root")
    for path in ("/a", "/"):
        with opened_in(root, path, os.O_PATH | os.O_DIRECTORY) as found:
            assert os.fstat(found).st_ino == os.stat(root + path).st_ino
    with opened_in(root, "/link", os.O_PATH) as found:
        assert stat.S_ISLNK(os.fstat(found).st_mode)
    for path in ("/link/x", "/a/../link/x"):
        with (
            pytest.raises(OSError, match=r"Not a directory|symbolic links|No such file"),
            opened_in(root, path, os.O_PATH),
        ):
            pass
