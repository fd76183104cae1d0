"""ADD of archives: unpacked into the destination, never outside of it."""

from __future__ import annotations

import contextlib
import copy
import gzip
import os
import tarfile
from pathlib import Path

import pytest

from pybuild.errors import PybuildError
from pybuild.solver.unpack import is_archive, unpack
from pybuild.store.treewriter import TreeWriter
from tests.unit.store.archives import archive, directory, hard_link, member, symlink
from tests.unit.store.test_apply import HOSTILE, listing


@pytest.fixture
def place(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("victim")
    (tmp_path / "upper" / "dest").mkdir(parents=True)
    (tmp_path / "upper" / "beside").write_text("beside")
    (tmp_path / "upper" / "dest" / "lower").symlink_to("../../outside")
    (tmp_path / "upper" / "dest" / "up").symlink_to("..")
    return tmp_path


def write(place: Path, *members: tarfile.TarInfo) -> str:
    path = place / "archive"
    path.write_bytes(archive(*members).getvalue())
    return str(path)


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_written_outside(place: Path, name: str) -> None:
    members = [copy.copy(info) for info in HOSTILE[name]]
    for info in members:
        info.linkname = info.linkname.replace("{outside}", str(place / "outside"))
    before = listing(place / "outside")
    path = write(place, *members, symlink("y", "/beside"), member("up/beside"), member("../beside"))
    with contextlib.suppress(PybuildError):
        unpack(TreeWriter((), place / "upper", whiteouts="native"), path, "/dest", None)
    assert listing(place / "outside") == before
    assert (place / "upper" / "beside").read_text() == "beside"
    assert sorted(found.name for found in (place / "upper").iterdir()) == ["beside", "dest"]


def test_directories_merge_and_the_rest_is_replaced(place: Path) -> None:
    dest = place / "upper" / "dest"
    (dest / "d").mkdir()
    (dest / "d" / "kept").write_text("kept")
    (dest / "file").mkdir()
    path = write(
        place, directory("./"), directory("d", mode=0o700, mtime=9), member("d/new"), member("file"),
        directory("up"), hard_link("h", "d/new"), symlink("l", "/d/new"),
    )  # fmt: skip
    unpack(TreeWriter((), place / "upper", whiteouts="native"), path, "/dest", (5, 6) if os.geteuid() == 0 else None)
    assert sorted(found.name for found in (dest / "d").iterdir()) == ["kept", "new"]
    assert ((dest / "d").stat().st_mode & 0o777, (dest / "d").stat().st_mtime) == (0o700, 9)
    assert (dest / "file").read_text() == "file"
    assert not (dest / "up").is_symlink()
    assert (dest / "h").stat().st_ino == (dest / "d" / "new").stat().st_ino
    if os.geteuid() == 0:
        assert {(found.lstat().st_uid, found.lstat().st_gid) for found in (dest / "d" / "new", dest / "l")} == {(5, 6)}


def test_what_is_an_archive(tmp_path: Path) -> None:
    files = {
        "plain": archive(member("a")).getvalue(),
        "gzip": gzip.compress(archive(member("a")).getvalue()),
        "text": b"not an archive",
        "empty": b"",
        "gzipped text": gzip.compress(b"text" * 200),
        "truncated": gzip.compress(archive(member("a")).getvalue())[:20],
    }
    found: list[str] = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        if is_archive(str(tmp_path / name)):
            found.append(name)
    assert found == ["plain", "gzip"]
