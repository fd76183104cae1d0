"""A context's snapshot is the same tree, whether it was made whole or as a revision of any other one."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from pybuild.errors import SourceFetchError
from pybuild.source.contextcopy import bring_in
from pybuild.source.contextindex import ContextIndex, FileHashes
from pybuild.source.contextlisting import difference, read_listing, write_listing
from pybuild.source.contexttree import ContextTree, scan
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree
from tests.randomtrees import Another, Directory, Fifo, File, Link, layer, make, shown, versions

NOW = 2_000_000_000
pytestmark = pytest.mark.usefixtures("small_trees")

NUMBERS = itertools.count()


def looked(context: Path) -> tuple[ContextTree, FileHashes]:
    tree = scan(context, [], [])
    return tree, ContextIndex(context / "nothing").hashes(tree)


def bring(store: Store, context: Path, name: str, previous: str = "") -> None:
    bring_in(store, name, *looked(context), previous)


@given(versions())
@example([Directory({"a": Directory({"b": File("x")})}), Directory({"a": File("x")}), Directory({"a": Directory({})})])
@example([Directory({"a": File("x"), "b": Another("x")}), Directory({"a": File("x", mtime=5), "b": Another("x")})])
@example([Directory({"a": File("x")}), Directory({"a": File("x"), "b": Another("x"), "c": Another("x")})])
@example([Directory({"a": Directory({}, 0o700, 3)}), Directory({"a": Directory({}, 0o755, 4)})])
@example([Directory({"a": Link("b")}), Directory({"a": Fifo()}), Directory({"a": Link("c")})])
@settings(max_examples=100, deadline=None)
def test_a_revision_is_what_a_whole_copy_is(overlay_store: Store, found: Sequence[Directory]) -> None:
    previous = ""
    with tempfile.TemporaryDirectory() as directory:
        for number, version in enumerate(found):
            name, whole = f"local-{next(NUMBERS)}", f"whole-{next(NUMBERS)}"
            make(Path(directory, "context"), version, found[number - 1] if number else None)
            bring(overlay_store, Path(directory, "context"), name, previous)
            bring(overlay_store, Path(directory, "context"), whole)
            made, wanted = overlay_store.snapshots.lowers(name), overlay_store.snapshots.lowers(whole)
            assert (len(made), len(wanted)) == (number + 1, 1)
            assert shown(LayeredTree(made), NOW) == shown(LayeredTree(wanted), NOW)
            assert layer(overlay_store.snapshots, name, NOW) == layer(overlay_store.snapshots, whole, NOW)
            previous = name


def test_large_changes_are_copied_whole_and_share_what_stayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    store = Store.open(tmp_path / "store", snapshotter="overlay")
    make(tmp_path / "context", Directory({"a": File("x"), "b": File("x")}))
    bring(store, tmp_path / "context", "one")
    make(tmp_path / "context", Directory({"a": File("x"), "b": File("y"), "c": File("z")}))
    bring(store, tmp_path / "context", "two", "one")
    (one,), (two,) = store.snapshots.lowers("one"), store.snapshots.lowers("two")
    assert (one / "a").samefile(two / "a")
    assert (two / "b").read_text() == "y"
    store.close()


def test_plain_copies_have_no_revisions(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", snapshotter="native")
    for name, previous in (("one", ""), ("two", "one")):
        make(tmp_path / "context", Directory({"a": File("x"), name: File("x")}))
        bring(store, tmp_path / "context", name, previous)
    assert sorted(os.listdir(store.snapshots.upper("two"))) == ["a", "two"]
    store.close()


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", snapshotter="overlay")
    make(tmp_path / "context", Directory({"a": File("x"), "b": File("x")}))
    bring(store, tmp_path / "context", "one")
    (tmp_path / "context" / "b").write_text("y")
    tree, hashes = looked(tmp_path / "context")
    (tmp_path / "context" / "b").write_text("z")
    with pytest.raises(SourceFetchError, match="changed while it was being read"):
        bring_in(store, "two", tree, hashes, "one")
    assert [info.key for info in store.snapshots.walk()] == ["one"]
    store.close()


def test_a_damaged_listing_is_no_listing(tmp_path: Path) -> None:
    make(tmp_path / "context", Directory({"a": Directory({"b": Link("c")})}))
    _, hashes = looked(tmp_path / "context")
    write_listing(tmp_path / "listing", hashes)
    assert read_listing(tmp_path / "listing") == hashes.folders
    data = (tmp_path / "listing").read_bytes()
    for damaged in (b"", data[:-1], bytes(len(data)), data[:9] + bytes(8) + data[17:]):
        (tmp_path / "listing").write_bytes(damaged)
        assert read_listing(tmp_path / "listing") is None
    assert read_listing(tmp_path / "nothing") is None


def test_what_is_removed_is_named_once(tmp_path: Path) -> None:
    context = tmp_path / "context"
    make(context, Directory({"a": Directory({"b": Directory({"c": File("x")})}), "a-b": File("y")}))
    before = looked(context)[1].folders
    assert difference(before, *looked(context)) == ([], [])
    (context / "a" / "b" / "c").unlink()
    (context / "a" / "b").rmdir()
    (context / "a").rmdir()
    (context / "a").write_text("x")
    assert difference(before, *looked(context)) == (["/a"], ["/a"])


def test_a_renamed_directory_takes_the_other_names_of_its_files_along(tmp_path: Path) -> None:
    """A rename shows in none of the numbers of the files in the directory."""
    context = tmp_path / "context"
    make(context, Directory({"a": Directory({"x": File("x"), "z": File("z")}), "b": Directory({})}))
    os.link(context / "a" / "x", context / "b" / "y")
    before = looked(context)[1].folders
    (context / "a").rename(context / "c")
    changes = difference(before, *looked(context))
    assert changes == (["/a"], ["/b/y", "/c", "/c/x", "/c/z"])
    assert changes.touched == {"/b", "/c"}
