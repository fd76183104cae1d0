import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.store.overlay import OverlaySnapshotter
from pybuild.store.store import Store
from pybuild.store.treecopy import disk_usage


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[OverlaySnapshotter]:
    """Bookkeeping only: changes are written into `upper` directly, nothing is mounted."""
    store = Store.open(tmp_path / "store", snapshotter="overlay")
    yield OverlaySnapshotter(store.root, store.database, store.leases.owner, max_layers=4)
    store.close()


def add(overlay: OverlaySnapshotter, name: str, parent: str, *files: str) -> str:
    overlay.prepare(f"active-{name}", parent)
    for file in files:
        (overlay.upper(f"active-{name}") / file).write_text(name)
    overlay.commit(name, f"active-{name}")
    return name


def test_first_layer_is_a_bind(overlay: OverlaySnapshotter) -> None:
    (spec,) = overlay.prepare("active")
    assert (spec.type, spec.source, spec.options) == ("bind", str(overlay.upper("active")), ("bind", "rw"))


def test_options(overlay: OverlaySnapshotter) -> None:
    add(overlay, "a", "")
    add(overlay, "b", "a")
    (spec,) = overlay.prepare("active", "b")
    options = dict(option.partition("=")[::2] for option in spec.options)
    assert spec.type == "overlay"
    assert options["lowerdir"] == f"{overlay.upper('b')}:{overlay.upper('a')}"
    assert options["upperdir"] == str(overlay.upper("active"))
    assert options["workdir"] == str(overlay.upper("active").with_name("work"))
    assert {options[name] for name in ("index", "redirect_dir", "metacopy", "xino")} == {"off"}
    (spec,) = overlay.mounts("b")
    assert "ro" in spec.options
    assert not any(option.startswith(("upperdir", "workdir", "volatile")) for option in spec.options)


def test_commit_drops_the_work_directory(overlay: OverlaySnapshotter) -> None:
    add(overlay, "a", "")
    add(overlay, "b", "a")
    assert os.listdir(overlay.upper("b").parent) == ["fs"]


def test_long_chains_end_in_a_flat_tree(overlay: OverlaySnapshotter) -> None:
    parent = ""
    for number in range(20):
        parent = add(overlay, f"n{number}", parent, f"file{number}")
        assert len(overlay.lowers(parent)) <= 4
        files = {name for lower in overlay.lowers(parent) for name in os.listdir(lower)}
        assert files == {f"file{below}" for below in range(number + 1)}
    assert len(overlay.parents(parent)) == 20


def test_merged_trees_are_rarely_merged_again(overlay: OverlaySnapshotter) -> None:
    parent = ""
    for number in range(64):
        parent = add(overlay, f"n{number}", parent, f"file{number}")
    trees = [directory / "fs" for directory in overlay._directory.iterdir()]
    links = sum(len(os.listdir(tree)) for tree in trees)
    assert links < 64 * 5  # one merged tree of all before it every four would make 64 * 9


def test_usage_counts_the_directories_of_merged_trees(overlay: OverlaySnapshotter) -> None:
    parent = ""
    for number in range(4):
        parent = add(overlay, f"n{number}", parent)
    (overlay.upper(parent) / "deep/er").mkdir(parents=True)
    parent = add(overlay, "last", parent, "file")
    own = disk_usage(overlay.upper(parent))
    assert overlay.usage(parent).inodes == own[1] + len(("merged tree", "deep", "er"))


def test_flat_trees_go_with_their_snapshots(overlay: OverlaySnapshotter) -> None:
    parent = ""
    for number in range(6):
        parent = add(overlay, f"n{number}", parent, f"file{number}")
    for key in reversed(overlay.parents(parent)):
        overlay.remove(key)
    assert os.listdir(overlay._directory) == []


def test_restack_beyond_the_limit_flattens(overlay: OverlaySnapshotter) -> None:
    add(overlay, "change", "", "changed")
    parent = ""
    for number in range(4):
        parent = add(overlay, f"n{number}", parent, f"file{number}")
    overlay.restack("merged", parent, "change")
    (lower,) = overlay.lowers("merged")
    assert sorted(os.listdir(lower)) == ["changed", "file0", "file1", "file2", "file3"]
    assert os.listdir(overlay.upper("merged")) == ["changed"]
    (spec,) = overlay.mounts("merged")
    assert spec.type == "bind"
