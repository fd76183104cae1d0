"""A flattened tree is what the merged view of the layers shows, whatever the layers are."""

import os
import stat
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pybuild.store.flatten import flatten
from pybuild.store.tree import LayeredTree

NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(st.text("xyz", max_size=3), st.just(None))  # None: a whiteout
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=3),
    lambda children: st.dictionaries(NAMES, st.one_of(LEAVES, children), max_size=3),
    max_leaves=8,
)
OPAQUE = st.booleans()


def make(root: Path, tree: dict[str, object], opaque: bool) -> None:
    root.mkdir()
    for name, node in tree.items():
        path = root / name
        if node is None:
            os.mknod(path, stat.S_IFCHR, 0)
        elif isinstance(node, str):
            path.write_text(node)
        else:
            assert isinstance(node, dict)
            make(path, node, opaque)
            if opaque:
                os.setxattr(path, "user.overlay.opaque", b"y")


def listing(lowers: tuple[Path, ...]) -> dict[str, str]:
    tree = LayeredTree(lowers)
    return {entry.path: "dir" if entry.is_dir else tree.read_text(entry.path) for entry in tree.walk()}


LAYERS = st.lists(st.tuples(TREES, OPAQUE), min_size=1, max_size=4)


@given(LAYERS)
@settings(max_examples=60, deadline=None)
def test_flat_equals_merged(layers: list[tuple[dict[str, object], bool]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        lowers = tuple(root / str(number) for number in range(len(layers)))
        for path, (tree, opaque) in zip(lowers, layers, strict=True):
            make(path, tree, opaque)
        flatten(lowers, root / "flat")
        assert listing((root / "flat",)) == listing(lowers)
        for _, _, files in os.walk(root / "flat"):
            assert not any(
                stat.S_ISCHR((root / "flat" / file).lstat().st_mode)
                for file in files
                if (root / "flat" / file).exists()
            )


@given(LAYERS, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_the_topmost_merged_hide_of_the_rest_what_they_hid(
    layers: list[tuple[dict[str, object], bool]], count: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        lowers = tuple(root / str(number) for number in range(len(layers)))
        for path, (tree, opaque) in zip(lowers, layers, strict=True):
            make(path, tree, opaque)
        flatten(lowers[:count], root / "flat", opaque="user.overlay.opaque")
        assert listing((root / "flat", *lowers[count:])) == listing(lowers)


def test_files_are_links_and_attributes_are_kept(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for path in (lower, upper):
        (path / "d").mkdir(parents=True)
    (lower / "d/file").write_text("x")
    (upper / "d").chmod(0o751)
    os.utime(upper / "d", ns=(1, 2_000_000_003))
    flatten((upper, lower), tmp_path / "flat")
    assert (tmp_path / "flat/d/file").stat().st_ino == (lower / "d/file").stat().st_ino
    status = (tmp_path / "flat/d").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o751, 2_000_000_003)
