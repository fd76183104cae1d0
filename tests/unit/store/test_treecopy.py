import os
import stat
from pathlib import Path

from pybuild.store.treecopy import copy_tree, disk_usage, remove_tree


def test_copy_is_independent(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir(mode=0o750)
    (source / "file").write_bytes(b"x" * 70_000)
    (source / "file").chmod(0o604)
    os.link(source / "file", source / "hard")
    (source / "link").symlink_to("nowhere")
    (source / "empty").mkdir()
    os.mkfifo(source / "fifo")
    os.utime(source, ns=(1, 1_000_000_001))
    copy_tree(source, tmp_path / "copy")
    copy = tmp_path / "copy"
    assert sorted(os.listdir(copy)) == ["empty", "fifo", "file", "hard", "link"]
    assert (copy / "file").read_bytes() == b"x" * 70_000
    assert (copy / "file").stat().st_ino == (copy / "hard").stat().st_ino != (source / "file").stat().st_ino
    assert (copy / "link").readlink() == Path("nowhere")
    assert stat.S_ISFIFO((copy / "fifo").lstat().st_mode)
    assert stat.S_IMODE((copy / "file").stat().st_mode) == 0o604
    assert (copy.stat().st_mtime_ns, stat.S_IMODE(copy.stat().st_mode)) == (1_000_000_001, 0o750)


def test_usage_counts_a_hard_linked_file_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    once = disk_usage(tmp_path)
    os.link(tmp_path / "file", tmp_path / "again")
    assert disk_usage(tmp_path) == once
    assert once[0] >= 100_000
    assert once[1] == 2


def test_remove_takes_anything(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "locked" / "below").mkdir(parents=True)
    (root / "locked").chmod(0)
    (root / "link").symlink_to(tmp_path)
    remove_tree(root)
    remove_tree(root)
    (tmp_path / "file").touch()
    remove_tree(tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_remove_goes_deeper_than_paths_can_say(tmp_path: Path) -> None:
    name = "d" * 200
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(100):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(tmp_path / name)
    assert os.listdir(tmp_path) == []
