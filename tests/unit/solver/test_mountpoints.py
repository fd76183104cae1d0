"""What mounting leaves in a layer: nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybuild.solver.mountpoints import drop_copies
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
