"""The merged view of layers: overlay semantics, links that stay inside, reading."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybuild.errors import NotFound, StoreError
from pybuild.store.tree import FileKind, LayeredTree
from pybuild.store.treecopy import remove_tree


def put(layer: Path, files: dict[str, str | None]) -> Path:
    """Write a layer: text is a file, None a directory, ">x" a link to x, "!" a whiteout, "opaque" what it says."""
    layer.mkdir(exist_ok=True)
    for name, what in files.items():
        path = layer / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            path.mkdir(exist_ok=True)
        elif what == "opaque":
            path.mkdir(exist_ok=True)
            os.setxattr(path, "trusted.overlay.opaque", b"y")
        elif what == "!":
            os.mknod(path, stat.S_IFCHR, 0)
        elif what.startswith(">"):
            path.symlink_to(what[1:])
        else:
            path.write_text(what)
    return layer


def names(tree: LayeredTree) -> list[str]:
    return [entry.path for entry in tree.walk()][1:]


def test_the_empty_tree() -> None:
    tree = LayeredTree(())
    assert names(tree) == []
    assert tree.root.kind is FileKind.DIRECTORY
    assert stat.S_IMODE(tree.root.stat.st_mode) == 0o755
    assert tree.root.stat.st_mtime_ns == 0  # it can be copied, with its time
    assert tree.lookup("/a") is None


def test_directories_merge_and_upper_files_win(tmp_path: Path) -> None:
    upper = put(tmp_path / "u", {"d/new": "1", "d/both": "upper"})
    lower = put(tmp_path / "l", {"d/old": "2", "d/both": "lower", "e": None})
    tree = LayeredTree([upper, lower])
    assert names(tree) == ["/d", "/d/both", "/d/new", "/d/old", "/e"]
    assert tree.read_text("/d/both") == "upper"
    assert tree.need("/d/old").layer == str(lower)
    assert tree.need("/d").dirs == (f"{upper}/d", f"{lower}/d")


def test_whiteouts_hide(tmp_path: Path) -> None:
    tree = LayeredTree(
        [put(tmp_path / "u", {"d/a": "!", "e": "!"}), put(tmp_path / "l", {"d/a": "", "d/b": "", "e/f": ""})]
    )
    assert names(tree) == ["/d", "/d/b"]
    assert tree.lookup("/e/f") is None
    assert tree.lookup("/d/a") is None


def test_a_whiteout_in_the_lowest_layer_is_invisible(tmp_path: Path) -> None:
    tree = LayeredTree([put(tmp_path / "l", {"a": "!", "b": ""})])
    assert names(tree) == ["/b"]


def test_opaque_directories_cut_off_what_is_below(tmp_path: Path) -> None:
    layers = [
        put(tmp_path / "1", {"d/x": "1"}),
        put(tmp_path / "2", {"d": "opaque", "d/y": "2"}),
        put(tmp_path / "3", {"d/z": "3"}),
    ]
    assert names(LayeredTree(layers)) == ["/d", "/d/x", "/d/y"]
    assert LayeredTree(layers).lookup("/d/z") is None
    assert names(LayeredTree(layers[1:])) == ["/d", "/d/y"]


@pytest.mark.parametrize("middle", ["file", "!", ">/elsewhere"])
def test_what_is_no_directory_separates_directories(tmp_path: Path, middle: str) -> None:
    layers = [
        put(tmp_path / "1", {"d/x": "1"}),
        put(tmp_path / "2", {"d": middle}),
        put(tmp_path / "3", {"d/z": "3"}),
    ]
    assert names(LayeredTree(layers)) == ["/d", "/d/x"]
    assert LayeredTree(layers).lookup("/d/z") is None


def test_links_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    tree = LayeredTree(
        [
            put(
                tmp_path / "l",
                {"a/up": ">../../../secret", "abs": ">/a/real", "a/real": "in", "dir": ">a", "secret": "s"},
            )
        ]
    )
    assert tree.read_text("/a/up") == "s"
    assert tree.read_text("/abs") == "in"
    assert tree.resolve("/dir/new/../other") == "/a/other"
    assert tree.resolve("/dir", follow=False) == "/dir"
    assert tree.readlink("/abs") == "/a/real"
    assert tree.need("/dir", follow=False).kind is FileKind.SYMLINK
    assert tree.resolve("/../..") == "/"


def test_a_directory_in_place_of_the_root(tmp_path: Path) -> None:
    tree = LayeredTree([put(tmp_path / "l", {"d/abs": ">/x", "d/up": ">../..", "d/x": "", "x": ""})])
    assert tree.resolve("abs", within="/d") == "/d/x"
    assert tree.resolve("up/new", within="/d") == "/d/new"


def test_loops_are_noticed(tmp_path: Path) -> None:
    tree = LayeredTree([put(tmp_path / "l", {"a": ">b", "b": ">a"})])
    with pytest.raises(StoreError, match='"/a": too many levels of symbolic links'):
        tree.lookup("/a")
    assert tree.lookup("/a", follow=False) is not None


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    tree = LayeredTree([put(tmp_path / "l", {"f": "", "d": None})])
    with pytest.raises(NotFound, match='"/x/y": not found'):
        tree.read_text("/x/y")
    with pytest.raises(StoreError, match='"/d": not a regular file'):
        tree.read_text("/d")
    with pytest.raises(StoreError, match='"/f": not a directory'):
        tree.listdir("/f")
    assert tree.lookup("/f/below") is None


def test_names_are_sorted_by_their_bytes(tmp_path: Path) -> None:
    layer = put(tmp_path / "l", {"b": "", "a": "", "é": "", "\U0001f600": ""})
    with open(os.fsencode(layer) + b"/\xff", "w"):
        pass
    assert LayeredTree([layer]).listdir("/") == ["a", "b", "é", "\U0001f600", "\udcff"]


def test_deep_trees_need_no_recursion(tmp_path: Path) -> None:
    deep = tmp_path / "l"
    deep.mkdir()
    at = os.open(deep, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    tree = LayeredTree([deep])
    assert sum(1 for _ in tree.walk()) == 1201
    assert tree.lookup("/d" * 1200) is not None
    remove_tree(deep)  # pytest's own clean-up recurses


LAYERS = st.lists(
    st.dictionaries(
        st.sampled_from(["a", "b", "a/x", "a/y", "b/x", "a/x/z"]),
        st.sampled_from(["file", "!", "opaque", None]),
        max_size=5,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(LAYERS)
def test_looking_up_agrees_with_walking(
    tmp_path_factory: pytest.TempPathFactory, layers: list[dict[str, str | None]]
) -> None:
    base = tmp_path_factory.mktemp("layers")
    dirs = []
    for number, content in enumerate(layers):
        files = {
            n: w
            for n, w in content.items()
            if not any(n.startswith(f"{o}/") and v in {"file", "!"} for o, v in content.items())
        }
        dirs.append(put(base / str(number), dict(sorted(files.items()))))
    walked = {entry.path: (entry.real, entry.dirs) for entry in LayeredTree(dirs).walk()}
    tree = LayeredTree(dirs)
    for path in ["/a", "/b", "/a/x", "/a/y", "/b/x", "/a/x/z"]:
        entry = tree.lookup(path)
        assert (None if entry is None else (entry.real, entry.dirs)) == walked.get(path)
