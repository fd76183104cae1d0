"""What every Snapshotter must do.

A test class inherits this and provides the fixtures `snapshots`, and `open_tree`: how to reach the tree that mount
descriptions stand for.
"""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from pybuild.errors import AlreadyExists, NotFound, StoreError
from pybuild.protocols import MountSpec, SnapshotKind, Snapshotter
from pybuild.store.tree import LayeredTree

OpenTree: TypeAlias = Callable[[Sequence[MountSpec]], AbstractContextManager[Path]]
Change: TypeAlias = Callable[[Path], object]


def write(**files: str) -> Change:
    def change(root: Path) -> None:
        for name, text in files.items():
            path = root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return change


def layer(snapshots: Snapshotter, open_tree: OpenTree, name: str, parent: str, *changes: Change) -> str:
    """A committed snapshot with changes on `parent`."""
    with open_tree(snapshots.prepare(f"active-{name}", parent)) as root:
        for change in changes:
            change(root)
    snapshots.commit(name, f"active-{name}")
    return name


def content(root: Path) -> dict[str, str]:
    """The regular files of a directory with their text."""
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def committed(snapshots: Snapshotter, open_tree: OpenTree, key: str) -> dict[str, str]:
    """The files of a committed snapshot, read through its mount and through `lowers`, which must agree."""
    with open_tree(snapshots.mounts(key)) as root:
        mounted = content(root)
    tree = LayeredTree(snapshots.lowers(key))
    files = {
        entry.path.strip("/"): tree.read_text(entry.path) for entry in tree.walk() if stat.S_ISREG(entry.stat.st_mode)
    }
    assert files == mounted
    return mounted


def attributes(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


class SnapshotterConformance:
    # -- life cycle

    def test_life_cycle(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        with open_tree(snapshots.prepare("a")) as root:
            (root / "file").write_text("text")
            assert snapshots.stat("a").kind is SnapshotKind.ACTIVE
        snapshots.commit("first", "a")
        info = snapshots.stat("first")
        assert (info.key, info.parent, info.kind) == ("first", "", SnapshotKind.COMMITTED)
        with pytest.raises(NotFound):
            snapshots.stat("a")
        assert committed(snapshots, open_tree, "first") == {"file": "text"}

    def test_child_sees_its_parent(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "", write(a="1", d__b="1"))
        layer(snapshots, open_tree, "second", "first", write(c="2", d__b="2"))
        assert committed(snapshots, open_tree, "second") == {"a": "1", "c": "2", "d/b": "2"}
        assert committed(snapshots, open_tree, "first") == {"a": "1", "d/b": "1"}
        assert snapshots.parents("second") == ("first", "second")

    def test_active_snapshot_can_be_mounted_again(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "", write(a="1"))
        with open_tree(snapshots.prepare("active", "first")) as root:
            write(b="2")(root)
        with open_tree(snapshots.mounts("active")) as root:
            write(c="3")(root)
        snapshots.commit("second", "active")
        assert committed(snapshots, open_tree, "second") == {"a": "1", "b": "2", "c": "3"}

    def test_view_is_of_its_parent(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "", write(a="1"))
        layer(snapshots, open_tree, "second", "first", write(b="2"))
        for key in ("first", "second"):
            specs = snapshots.view(f"view-{key}", key)
            assert all("ro" in spec.options for spec in specs)
            with open_tree(specs) as root:
                assert content(root)["a"] == "1"
            assert snapshots.lowers(f"view-{key}") == snapshots.lowers(key)
            snapshots.remove(f"view-{key}")
        assert committed(snapshots, open_tree, "second") == {"a": "1", "b": "2"}

    def test_view_of_nothing_is_empty(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        with open_tree(snapshots.view("view", "")) as root:
            assert content(root) == {}

    def test_the_empty_tree(self, snapshots: Snapshotter) -> None:
        assert snapshots.lowers("") == ()
        assert snapshots.parents("") == ()

    def test_walk_gives_parents_first(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        for name, parent in (("z", ""), ("m", "z"), ("a", "m"), ("b", "z")):
            layer(snapshots, open_tree, name, parent)
        keys = [info.key for info in snapshots.walk()]
        assert sorted(keys) == ["a", "b", "m", "z"]
        assert keys.index("z") < keys.index("m") < keys.index("a")
        assert keys.index("z") < keys.index("b")

    def test_usage_is_of_the_own_changes(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "", write(a="1" * 100_000))
        usage = snapshots.usage("first")
        assert usage.size >= 100_000
        assert usage.inodes == 2

    # -- refusals

    def test_commit_of_view_fails(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "")
        snapshots.view("view", "first")
        with pytest.raises(StoreError, match="only an active one"):
            snapshots.commit("second", "view")

    def test_commit_of_committed_fails(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "")
        with pytest.raises(StoreError, match="only an active one"):
            snapshots.commit("second", "first")

    def test_commit_under_a_taken_name_fails(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "")
        snapshots.prepare("active")
        with pytest.raises(AlreadyExists):
            snapshots.commit("first", "active")
        assert snapshots.stat("active").kind is SnapshotKind.ACTIVE

    def test_taken_keys_are_refused(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "")
        for call in (snapshots.prepare, snapshots.view):
            with pytest.raises(AlreadyExists):
                call("first", "first")

    def test_parent_must_be_committed(self, snapshots: Snapshotter) -> None:
        snapshots.prepare("active")
        for call in (snapshots.prepare, snapshots.view):
            with pytest.raises(StoreError, match="only a committed one"):
                call("child", "active")

    def test_missing_snapshots(self, snapshots: Snapshotter) -> None:
        calls: Mapping[str, Callable[[], object]] = {
            "stat": lambda: snapshots.stat("x"),
            "usage": lambda: snapshots.usage("x"),
            "parents": lambda: snapshots.parents("x"),
            "prepare": lambda: snapshots.prepare("new", "x"),
            "view": lambda: snapshots.view("new", "x"),
            "mounts": lambda: snapshots.mounts("x"),
            "commit": lambda: snapshots.commit("new", "x"),
            "remove": lambda: snapshots.remove("x"),
            "upper": lambda: snapshots.upper("x"),
            "lowers": lambda: snapshots.lowers("x"),
            "restack": lambda: snapshots.restack("new", "", "x"),
        }
        for call in calls.values():
            with pytest.raises(NotFound):
                call()
        assert list(snapshots.walk()) == []

    def test_remove_with_children_fails(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "", write(a="1"))
        layer(snapshots, open_tree, "second", "first")
        with pytest.raises(StoreError, match="has children"):
            snapshots.remove("first")
        assert committed(snapshots, open_tree, "second") == {"a": "1"}
        directories = [snapshots.upper(key) for key in ("first", "second")]
        snapshots.remove("second")
        snapshots.remove("first")
        assert list(snapshots.walk()) == []
        assert not any(directory.exists() for directory in directories)

    # -- trees

    def test_whiteout_hides_lower_file(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "first", "", write(a="1", b="1", d__c="1"))
        layer(snapshots, open_tree, "second", "first", lambda root: (root / "a").unlink())
        assert committed(snapshots, open_tree, "second") == {"b": "1", "d/c": "1"}

    def test_directory_made_anew_hides_the_old_one(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        def again(root: Path) -> None:
            (root / "d/c").unlink()
            (root / "d").rmdir()
            (root / "d").mkdir()
            (root / "d/e").write_text("2")

        layer(snapshots, open_tree, "first", "", write(d__c="1"))
        layer(snapshots, open_tree, "second", "first", again)
        assert committed(snapshots, open_tree, "second") == {"d/e": "2"}

    def test_renamed_directory(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        def move(root: Path) -> None:
            import shutil

            shutil.move(root / "d", root / "e")

        layer(snapshots, open_tree, "first", "", write(d__c="1"))
        layer(snapshots, open_tree, "second", "first", move)
        assert committed(snapshots, open_tree, "second") == {"e/c": "1"}

    def test_attributes_survive(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        def special(root: Path) -> None:
            (root / "file").write_text("x")
            os.chown(root / "file", 12, 34)
            (root / "file").chmod(0o4751)
            os.setxattr(root / "file", "user.kind", b"k")
            os.link(root / "file", root / "hard")
            (root / "link").symlink_to("file")
            os.mkfifo(root / "fifo")
            os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            os.utime(root / "file", ns=(5, 1_000_000_007))
            root.chmod(0o750)
            os.chown(root, 1, 2)

        layer(snapshots, open_tree, "first", "", special)
        layer(snapshots, open_tree, "second", "first", write(other="1"))
        with open_tree(snapshots.mounts("second")) as root:
            assert attributes(root) == (0o750, 1, 2)
            assert attributes(root / "file") == (0o4751, 12, 34)
            assert os.getxattr(root / "file", "user.kind") == b"k"
            assert (root / "file").stat().st_ino == (root / "hard").stat().st_ino
            assert (root / "link").readlink() == Path("file")
            assert stat.S_ISFIFO((root / "fifo").lstat().st_mode)
            assert (root / "null").lstat().st_rdev == os.makedev(1, 3)
            assert (root / "file").stat().st_mtime_ns == 1_000_000_007

    def test_128_layers(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        def replace(number: int) -> Change:
            def change(root: Path) -> None:
                (root / f"f{number}").write_text(str(number))
                (root / "last").write_text(str(number))
                if number:
                    (root / f"f{number - 1}").unlink()

            return change

        parent = ""
        for number in range(128):
            parent = layer(snapshots, open_tree, f"layer{number}", parent, replace(number))
        assert committed(snapshots, open_tree, parent) == {"f127": "127", "last": "127"}
        assert len(snapshots.parents(parent)) == 128
        with open_tree(snapshots.prepare("one-more", parent)) as root:
            write(more="x")(root)
            assert content(root) == {"f127": "127", "last": "127", "more": "x"}

    # -- stacking anew

    def test_restack(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "base", "", write(a="base", d__x="base"))
        layer(
            snapshots, open_tree, "change", "base", write(b="change", d__y="change"), lambda root: (root / "a").unlink()
        )
        layer(snapshots, open_tree, "other", "", write(a="other", c="other", d__z="other"))
        snapshots.restack("merged", "other", "change")
        assert committed(snapshots, open_tree, "merged") == {
            "b": "change",
            "c": "other",
            "d/y": "change",
            "d/z": "other",
        }
        info = snapshots.stat("merged")
        assert (info.parent, info.kind) == ("other", SnapshotKind.COMMITTED)

    def test_restack_keeps_what_lies_below_a_new_directory(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "base", "", write(opt__keep="1"))
        layer(snapshots, open_tree, "change", "base", write(opt__new__mine="1"))
        layer(snapshots, open_tree, "other", "", write(opt__new__theirs="1"))
        snapshots.restack("merged", "other", "change")
        assert committed(snapshots, open_tree, "merged") == {"opt/new/mine": "1", "opt/new/theirs": "1"}

    def test_restack_on_nothing(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "base", "", write(a="1", d__x="1"))
        layer(snapshots, open_tree, "change", "base", write(d__y="2"))
        snapshots.restack("alone", "", "change")
        assert committed(snapshots, open_tree, "alone") == {"d/y": "2"}

    def test_restacked_layer_outlives_the_original(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "change", "", write(a="1"))
        snapshots.restack("copy", "", "change")
        with pytest.raises(AlreadyExists):
            snapshots.restack("copy", "", "change")
        snapshots.remove("change")
        assert committed(snapshots, open_tree, "copy") == {"a": "1"}
        directory = snapshots.upper("copy")
        snapshots.remove("copy")
        assert not directory.exists()

    def test_restack_of_200(self, snapshots: Snapshotter, open_tree: OpenTree) -> None:
        layer(snapshots, open_tree, "base", "", write(base="0"))
        layer(snapshots, open_tree, "change", "base", write(a="1"))
        parent = "base"
        for number in range(200):
            snapshots.restack(f"stacked{number}", parent, "change")
            parent = f"stacked{number}"
        assert committed(snapshots, open_tree, parent) == {"a": "1", "base": "0"}
