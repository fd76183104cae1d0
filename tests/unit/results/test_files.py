"""The files of a result: reading, listing, disk use, and what differs between two."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybuild.errors import NotFound, StoreError
from pybuild.results.changes import changes_between
from pybuild.results.files import FileSystem
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree


def layer(root: Path, files: dict[str, str | None]) -> Path:
    """A directory of files; a name that ends with `/` is a directory, `->` makes a link."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif text is not None and text.startswith("-> "):
            path.symlink_to(text[3:])
        else:
            path.write_text(text or "")
    return root


@pytest.fixture
def files(tmp_path: Path) -> FileSystem:
    lower = layer(
        tmp_path / "lower", {"etc/motd": "hello", "etc/issue": "x", "usr/bin/tool": "t" * 5000, "empty/": None}
    )
    upper = layer(tmp_path / "upper", {"etc/motd": "bye", "bin": "-> usr/bin", "outside": "-> ../../../etc/motd"})
    return FileSystem(LayeredTree([upper, lower]))


def test_reading(files: FileSystem) -> None:
    assert files.read_text("/etc/motd") == files.read_text("etc/motd") == "bye"
    assert files.read_bytes("/etc/issue") == b"x"
    assert files.read_text("/bin/tool") == "t" * 5000
    assert files.read_text("/outside") == "bye"  # a link cannot lead out


@pytest.mark.parametrize(("path", "error"), [("/nothing", NotFound), ("/etc", StoreError)])
def test_what_cannot_be_read(files: FileSystem, path: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=f'"{path}"'):
        files.read_text(path)


def test_existence_and_status(files: FileSystem) -> None:
    assert "/etc/motd" in files
    assert "/etc/nothing" not in files
    assert files.exists("bin/tool")
    assert files.stat("/bin").is_dir
    link = files.stat("/bin", follow=False)
    assert (link.kind, link.target, link.mode_text) == ("symlink", "usr/bin", "lrwxrwxrwx")
    assert (files.stat("/etc/motd").size, files.stat("/etc/motd").name) == (3, "motd")


def test_listing(files: FileSystem) -> None:
    assert files.ls().names == ["bin", "empty", "etc", "outside", "usr"]
    assert files.ls("/etc/motd").names == ["motd"]
    assert len(files.ls("/empty")) == 0
    text = repr(files.ls())
    assert text.splitlines()[0].split() == ["MODE", "OWNER", "SIZE", "CHANGED", "NAME"]
    assert "bin -> usr/bin" in text
    assert "etc/" in text
    assert "bin -&gt; usr/bin" in files._repr_html_()
    assert repr(files) == "<FileSystem bin, empty/, etc/, outside, usr/>"


def test_walking(files: FileSystem) -> None:
    assert [info.path for info in files.walk("/usr")] == ["/usr/bin", "/usr/bin/tool"]
    assert len(list(files.walk())) == 9


def test_disk_use(files: FileSystem) -> None:
    use = files.du()
    assert [(entry.path, entry.size, entry.files) for entry in use.entries[:2]] == [("/usr", 5000, 1), ("/etc", 4, 2)]
    assert (use.size, use.files) == (5004, 3)
    assert repr(use).splitlines()[1].split() == ["5.0", "kB", "100%", "1", "/usr"]


def test_hard_links_count_once(tmp_path: Path) -> None:
    root = layer(tmp_path, {"a/one": "12345"})
    (root / "a/two").hardlink_to(root / "a/one")
    (root / "three").hardlink_to(root / "a/one")
    assert FileSystem(LayeredTree([root])).du().size == 5


def test_what_differs(tmp_path: Path) -> None:
    old = layer(
        tmp_path / "old", {"same": "s", "text": "one", "mode": "m", "kind": "k", "gone/deep": "g", "link": "-> a"}
    )
    new = layer(
        tmp_path / "new", {"same": "s", "text": "two!", "mode": "m", "kind/": None, "new/file": "", "link": "-> b"}
    )
    (new / "mode").chmod(0o700)
    os.utime(new / "same", (1, 1))
    changes = FileSystem(LayeredTree([old])).diff(FileSystem(LayeredTree([new])))
    assert [(change.kind, change.path, change.what) for change in changes] == [
        ("removed", "/gone", ()),
        ("removed", "/gone/deep", ()),
        ("changed", "/kind", ("type",)),
        ("changed", "/link", ("content",)),
        ("changed", "/mode", ("mode",)),
        ("added", "/new", ()),
        ("added", "/new/file", ()),
        ("changed", "/text", ("content",)),
    ]
    assert changes.paths("added") == ["/new", "/new/file"]
    assert repr(changes) == "<Changes 2 added, 4 changed, 2 removed>"
    assert "3 B -> 4 B" in str(changes)
    assert "3 B -&gt; 4 B" in changes._repr_html_()


def test_equal_trees_have_no_changes(files: FileSystem) -> None:
    changes = files.diff(FileSystem(LayeredTree(files.tree.lowers)))
    assert (len(changes), repr(changes), str(changes)) == (0, "<Changes none>", "no changes")


NAMES = st.sampled_from(["a", "b", "c"])
TREES = st.dictionaries(st.tuples(NAMES, NAMES), st.sampled_from(["x", "y", "-> x"]), max_size=6)


@settings(max_examples=40, deadline=None)
@given(TREES, TREES)
def test_the_way_back_is_the_reverse(
    tmp_path_factory: pytest.TempPathFactory, old: dict[tuple[str, str], str], new: dict[tuple[str, str], str]
) -> None:
    trees = []
    for contents in (old, new):
        root = tmp_path_factory.mktemp("tree")
        trees.append(LayeredTree([layer(root, {"/".join(name): text for name, text in contents.items()})]))
    there, back = changes_between(trees[0], trees[1]), changes_between(trees[1], trees[0])
    assert there.paths("added") == back.paths("removed")
    assert there.paths("removed") == back.paths("added")
    assert there.paths("changed") == back.paths("changed")
    expected = {"/" + "/".join(name) for name in old.keys() & new.keys() if old[name] != new[name]}
    assert set(there.paths("changed")) == expected


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "store", snapshotter="native")
    yield made
    made.close()


def test_files_are_held_while_they_are_looked_at(store: Store) -> None:
    store.snapshots.prepare("work")
    (store.snapshots.upper("work") / "file").write_text("text")
    store.snapshots.commit("done", "work")
    files = FileSystem.of_snapshot(store, "done")
    store.gc.prune(keep_bytes=0)
    assert files.read_text("/file") == "text"
    del files
    gc.collect()
    store.gc.prune(keep_bytes=0)
    with pytest.raises(NotFound, match="removed from the store"):
        FileSystem.of_snapshot(store, "done")


def test_nothing_is_a_file_system_too(store: Store) -> None:
    assert FileSystem.of_snapshot(store, "").ls().names == []
    assert repr(FileSystem.of_snapshot(store, "")) == "<FileSystem empty>"
