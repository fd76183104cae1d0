import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.errors import NotFound, StoreError
from pybuild.store.overlay import OverlaySnapshotter
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree
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


def revise(overlay: OverlaySnapshotter, name: str, of: str, parent: str, *files: str) -> str:
    overlay.prepare(f"active-{name}", parent, revises=of, changes=len(files))
    for file in files:
        (overlay.upper(f"active-{name}") / file).write_text(name)
    overlay.commit(name, f"active-{name}")
    return name


@pytest.fixture
def roomy(overlay: OverlaySnapshotter) -> OverlaySnapshotter:
    """Where layers are not merged soon."""
    overlay._max_layers = 100
    add(overlay, "base", "", "base")
    return overlay


def test_a_revision_is_one_layer(roomy: OverlaySnapshotter) -> None:
    add(roomy, "one", "base", *"abcdefgh")
    revise(roomy, "two", "one", "base", "a")
    revise(roomy, "three", "two", "base", "b")
    assert roomy.parents("three") == ("base", "three")
    assert roomy.own("three") == tuple(roomy.upper(key) for key in ("three", "two", "one"))
    assert roomy.lowers("three") == (*roomy.own("three"), roomy.upper("base"))
    (spec,) = roomy.prepare("active", "three")
    lower = ":".join(map(str, roomy.lowers("three")))
    assert f"lowerdir={lower}" in spec.options


def test_the_predecessor_stays_as_long_as_it_is_needed(roomy: OverlaySnapshotter) -> None:
    add(roomy, "one", "base", *"abcdefgh")
    revise(roomy, "two", "one", "base", "a")
    revise(roomy, "three", "two", "base", "b")
    directories = roomy.own("three")
    sizes = {key: roomy.usage(key).size for key in ("one", "two", "three")}
    roomy.remove("one")
    assert roomy.usage("two").size == sizes["one"] + sizes["two"]
    roomy.remove("two")
    assert roomy.own("three") == directories
    assert roomy.usage("three").size == sum(sizes.values())
    assert all(directory.is_dir() for directory in directories)
    roomy.remove("three")
    assert not any(directory.exists() for directory in directories)
    connection = roomy._database.connection
    for table in ("revisions", "predecessors"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_two_revisions_of_one_snapshot(roomy: OverlaySnapshotter) -> None:
    add(roomy, "one", "base", *"abcdefgh")
    revise(roomy, "two", "one", "base", "a")
    revise(roomy, "other", "one", "base", "b")
    lowest = roomy.upper("one")
    roomy.remove("one")
    roomy.remove("two")
    assert roomy.own("other")[-1] == lowest
    assert lowest.is_dir()
    roomy.remove("other")
    assert not lowest.exists()


def test_a_revision_on_another_parent(roomy: OverlaySnapshotter) -> None:
    add(roomy, "one", "base", *"abcdefgh")
    revise(roomy, "two", "one", "base", "a")
    add(roomy, "other", "", "other")
    roomy.restack("stacked", "other", "two")
    assert roomy.lowers("stacked") == (*roomy.own("two"), roomy.upper("other"))
    own = roomy.own("two")
    roomy.remove("two")
    roomy.remove("one")
    assert roomy.own("stacked") == own
    assert all(directory.is_dir() for directory in own)


def test_revisions_in_chains_that_are_merged(overlay: OverlaySnapshotter) -> None:
    overlay._max_layers = 8
    add(overlay, "one", "", *"abcdefgh")
    revise(overlay, "two", "one", "", "a")
    parent = revise(overlay, "three", "two", "", "b")
    for number in range(20):
        parent = add(overlay, f"n{number}", parent, f"file{number}")
        assert len(overlay.lowers(parent)) <= 8
        tree = LayeredTree(overlay.lowers(parent))
        assert (tree.read_text("/a"), tree.read_text("/b"), tree.read_text("/c")) == ("two", "three", "one")
    overlay.restack("stacked", parent, "three")
    assert len(overlay.lowers("stacked")) <= 8
    assert LayeredTree(overlay.lowers("stacked")).read_text("/a") == "two"


def test_what_may_not_be_revised(roomy: OverlaySnapshotter) -> None:
    add(roomy, "one", "base", *"abcdefgh")
    assert roomy.may_revise("one", "base", 4)
    assert not roomy.may_revise("one", "base", 5)
    assert not roomy.may_revise("one", "", 1)
    with pytest.raises(StoreError, match="cannot be revised"):
        roomy.prepare("active", "base", revises="one", changes=5)
    revise(roomy, "two", "one", "base", *"abc")
    assert roomy.may_revise("two", "base", 1)
    assert not roomy.may_revise("two", "base", 2)
    roomy._max_layers = 6
    assert roomy.may_revise("one", "base", 1)
    assert not roomy.may_revise("two", "base", 1)
    with pytest.raises(NotFound):
        roomy.may_revise("nothing", "base", 1)


def test_long_layers_end(roomy: OverlaySnapshotter) -> None:
    last = add(roomy, "r0", "base", *map(str, range(100)))
    number = 0
    while roomy.may_revise(last, "base", 1):
        number += 1
        last = revise(roomy, f"r{number}", last, "base", "1")
    assert len(roomy.own(last)) == 24
