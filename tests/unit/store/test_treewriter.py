"""Writing into an upper directory: the right tree, the right whiteouts, and never a change of a shared inode."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import sampled_from

from pybuild.errors import AlreadyExists, NotFound, StoreError
from pybuild.store.attributes import Attributes
from pybuild.store.tree import LayeredTree
from pybuild.store.treewriter import TreeWriter, copy_into


def writer_over(tmp_path: Path, files: dict[str, str]) -> TreeWriter:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    lower.mkdir()
    upper.mkdir()
    for name, text in files.items():
        (lower / name).parent.mkdir(parents=True, exist_ok=True)
        (lower / name).write_text(text)
    return TreeWriter([lower], upper)


def shown(writer: TreeWriter) -> dict[str, str]:
    """The result as a fresh reader sees it; also checks that the writer's own view agrees."""
    fresh = LayeredTree(writer.view.lowers)
    assert [entry.path for entry in fresh.walk()] == [entry.path for entry in writer.view.walk()]
    return {entry.path: fresh.read_text(entry.path) for entry in fresh.walk() if not entry.is_dir}


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def test_new_files_and_directories(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {})
    writer.mkdir("/d", Attributes(0o2750, 1, 2, 5_000_000_001))
    writer.write_file("/d/f", b"one", Attributes(0o4640, 3, 4, 7))
    writer.write_file("/d/g", io.BytesIO(b"two"))
    writer.symlink("/d/l", "f", Attributes(uid=9, mtime_ns=11))
    writer.link("/d/h", "/d/f")
    writer.mknod("/d/null", stat.S_IFCHR, os.makedev(1, 3), Attributes(0o666))
    assert writer.view.read_text("/d/h") == "one"
    upper = tmp_path / "upper" / "d"
    status = (upper / "f").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns) == (0o4640, 3, 4, 7)
    assert (upper / "h").stat().st_ino == status.st_ino
    assert stat.S_IMODE(upper.stat().st_mode) == 0o2750
    assert (upper / "l").lstat().st_uid == 9
    assert (upper / "l").lstat().st_mtime_ns == 11
    assert (upper / "null").stat().st_rdev == os.makedev(1, 3)
    assert not any(is_whiteout(path) for path in upper.iterdir())


def test_parents_are_copied_up_with_their_attributes(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {"a/b/old": "x"})
    os.chmod(tmp_path / "lower/a/b", 0o710)
    os.chown(tmp_path / "lower/a/b", 5, 6)
    os.setxattr(tmp_path / "lower/a/b", "user.note", b"hello")
    os.utime(tmp_path / "lower/a", ns=(1, 1))
    writer.write_file("/a/b/new", b"y")
    status = (tmp_path / "upper/a/b").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o710, 5, 6)
    assert os.getxattr(tmp_path / "upper/a/b", "user.note") == b"hello"
    assert shown(writer) == {"/a/b/old": "x", "/a/b/new": "y"}


def test_removals_become_whiteouts_only_where_something_lies_below(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {"d/f": "x", "d/g": "y"})
    writer.write_file("/d/own", b"z")
    writer.remove("/d/own")
    writer.remove("/d/f")
    assert not os.path.lexists(tmp_path / "upper/d/own")
    assert is_whiteout(tmp_path / "upper/d/f")
    assert shown(writer) == {"/d/g": "y"}
    writer.write_file("/d/f", b"again")
    assert shown(writer) == {"/d/f": "again", "/d/g": "y"}


@pytest.mark.parametrize(
    ("whiteouts", "name"), [("overlay", "trusted.overlay.opaque"), ("userxattr", "user.overlay.opaque")]
)
def test_a_directory_in_place_of_a_removed_one_is_opaque(tmp_path: Path, whiteouts: str, name: str) -> None:
    writer = writer_over(tmp_path, {"d/f": "x"})
    writer.whiteouts = whiteouts  # type: ignore[assignment]  # parametrized
    writer.remove("/d")
    writer.mkdir("/d")
    writer.write_file("/d/new", b"n")
    assert os.getxattr(tmp_path / "upper/d", name) == b"y"
    assert shown(writer) == {"/d/new": "n"}
    writer.remove("/d")
    assert is_whiteout(tmp_path / "upper/d")
    assert shown(writer) == {}


def test_a_directory_in_place_of_a_file_is_not_opaque(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {"f": "x"})
    writer.remove("/f")
    writer.mkdir("/f")
    assert os.listxattr(tmp_path / "upper/f") == []
    assert shown(writer) == {}


def test_a_shared_inode_is_never_changed(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {"f": "x"})
    source = tmp_path / "committed"
    source.write_text("shared")
    before = source.stat()
    tree = LayeredTree([tmp_path])
    entry = tree.need("/committed")
    writer.copy_file("/g", entry, Attributes(stat.S_IMODE(before.st_mode), 0, 0, before.st_mtime_ns))
    assert (tmp_path / "upper/g").stat().st_ino == before.st_ino
    writer.set_attributes("/g", Attributes(0o700, 1, 1, 0))
    writer.set_attributes("/f", Attributes(0o711, 2, 2, 0))
    writer.write_file("/g", b"other")
    assert (source.read_text(), source.stat().st_mode, source.stat().st_uid) == ("shared", before.st_mode, 0)
    assert stat.S_IMODE((tmp_path / "lower/f").stat().st_mode) != 0o711
    assert stat.S_IMODE(writer.view.need("/f").stat.st_mode) == 0o711
    assert shown(writer) == {"/f": "x", "/g": "other"}


def test_one_inode_is_shared_only_once(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {})
    (tmp_path / "s").write_text("shared")
    entry = LayeredTree([tmp_path]).need("/s")
    attributes = Attributes(stat.S_IMODE(entry.stat.st_mode), 0, 0, entry.stat.st_mtime_ns)
    writer.copy_file("/a", entry, attributes)
    writer.copy_file("/b", entry, attributes)
    writer.copy_file("/c", entry, attributes._replace(mode=0o600))
    inodes = {(tmp_path / "upper" / name).stat().st_ino for name in "abc"}
    assert len(inodes) == 3
    assert shown(writer) == {"/a": "shared", "/b": "shared", "/c": "shared"}


def test_a_lower_file_gets_a_second_name(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {"f": "x"})
    writer.link("/g", "/f")
    upper = tmp_path / "upper"
    assert (upper / "f").stat().st_ino == (upper / "g").stat().st_ino != (tmp_path / "lower/f").stat().st_ino


def test_capabilities_survive_owner_and_mode(tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    writer = writer_over(tmp_path, {})
    writer.write_file("/ping", b"", Attributes(0o755, 7, 7, 1, (("security.capability", capability),)))
    assert os.getxattr(tmp_path / "upper/ping", "security.capability") == capability


def test_refusals(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {"d/f": "x"})
    os.symlink("/tmp", tmp_path / "lower/out")
    with pytest.raises(AlreadyExists, match='"/d": file exists'):
        writer.mkdir("/d")
    with pytest.raises(AlreadyExists, match='"/d": is a directory'):
        writer.write_file("/d", b"")
    with pytest.raises(NotFound, match='"/no": no such file or directory'):
        writer.write_file("/no/f", b"")
    with pytest.raises(NotFound, match='"/no": not found'):
        writer.remove("/no")
    with pytest.raises(StoreError, match='"/out": not a directory'):
        writer.write_file("/out/evil", b"")
    with pytest.raises(StoreError):
        writer.remove("/")


def test_whole_trees(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    (upper / "d/f").write_text("x")
    writer = TreeWriter((), upper, whiteouts="native")
    writer.remove("/d/f")
    assert os.listdir(upper / "d") == []
    with pytest.raises(StoreError, match="cannot record removals"):
        writer.whiteout("/d/g")


def test_an_independent_copy(tmp_path: Path) -> None:
    writer = writer_over(tmp_path, {"d/f": "x", "gone": "y"})
    writer.remove("/gone")
    writer.link("/d/g", "/d/f")
    target = tmp_path / "target"
    target.mkdir()
    copy_into(writer.view, target)
    assert sorted(os.listdir(target)) == ["d"]
    assert (target / "d/f").stat().st_ino == (target / "d/g").stat().st_ino
    assert (target / "d/f").stat().st_ino != (tmp_path / "upper/d/f").stat().st_ino
    assert (target / "d").stat().st_mtime_ns == writer.view.need("/d").stat.st_mtime_ns


PATHS = sampled_from(["/a", "/b", "/d", "/d/a", "/d/e", "/d/e/x"])


class Writing(RuleBasedStateMachine):
    """A writer over a lower layer against a plain dictionary."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.temp = tempfile.TemporaryDirectory()
        self.writer = writer_over(Path(self.temp.name), {"a": "0", "d/a": "1", "d/e/x": "2"})
        self.model: dict[str, str | None] = {"/a": "0", "/d": None, "/d/a": "1", "/d/e": None, "/d/e/x": "2"}

    def teardown(self) -> None:
        self.temp.cleanup()

    def parent_ok(self, path: str) -> bool:
        parent = path.rpartition("/")[0]
        return parent == "" or (parent in self.model and self.model[parent] is None)

    @rule(path=PATHS, text=sampled_from(["x", "y"]))
    def write(self, path: str, text: str) -> None:
        if self.parent_ok(path) and self.model.get(path, "") is not None:
            self.writer.write_file(path, text.encode())
            self.model[path] = text
        else:
            with pytest.raises(StoreError):
                self.writer.write_file(path, text.encode())

    @rule(path=PATHS)
    def mkdir(self, path: str) -> None:
        if self.parent_ok(path) and path not in self.model:
            self.writer.mkdir(path)
            self.model[path] = None
        else:
            with pytest.raises(StoreError):
                self.writer.mkdir(path)

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        if path in self.model:
            self.writer.remove(path)
            self.model = {p: t for p, t in self.model.items() if p != path and not p.startswith(path + "/")}
        else:
            with pytest.raises(NotFound):
                self.writer.remove(path)

    @rule(path=PATHS, mode=sampled_from([0o700, 0o755]))
    def chmod(self, path: str, mode: int) -> None:
        if path in self.model:
            self.writer.set_attributes(path, Attributes(mode))
            assert stat.S_IMODE(self.writer.view.need(path).stat.st_mode) == mode

    @invariant()
    def same(self) -> None:
        for view in (self.writer.view, LayeredTree(self.writer.view.lowers)):
            found = {e.path: None if e.is_dir else view.read_text(e.path) for e in view.walk() if e.path != "/"}
            assert found == self.model


Writing.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestWriting = Writing.TestCase
