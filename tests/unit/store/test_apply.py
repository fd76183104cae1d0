"""Layers are unpacked as the OCI image specification says, and never outside their tree, whatever they say."""

from __future__ import annotations

import contextlib
import copy
import gzip
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybuild.digest import sha256
from pybuild.errors import PybuildError, UnsafeArchive
from pybuild.store.apply import Limits, apply_layer
from pybuild.store.tree import LayeredTree
from pybuild.store.treewriter import Whiteouts
from tests.unit.store.archives import archive, directory, hard_link, member, symlink

HOSTILE: dict[str, tuple[tarfile.TarInfo, ...]] = {
    "dots": (member("../outside/x"), member("a/../../../outside/y"), directory("../outside/d")),
    "absolute": (member("/outside/x"), directory("//outside/d")),
    "link, then a file through it": (symlink("a", "../outside"), member("a/x")),
    "absolute link": (symlink("a", "{outside}"), member("a/x"), directory("a/d")),
    "link to a file that is there": (symlink("a", "{outside}/victim"), member("a")),
    "link in a lower layer": (member("lower/x"), directory("lower/d"), symlink("lower/l", "x")),
    "link to a link": (symlink("a", "b"), symlink("b", "../outside"), member("a/x"), member("b/y")),
    "a directory that becomes a link": (directory("a"), symlink("a", "../outside"), member("a/x")),
    "hard link through a link": (symlink("a", "../outside"), hard_link("v", "a/victim")),
    "hard link out": (hard_link("v", "../outside/victim"),),
    "absolute hard link": (hard_link("v", "{outside}/victim"), member("v")),
    "hard link to a link": (symlink("a", "{outside}/victim"), hard_link("v", "a"), member("v")),
    "whiteout through a link": (symlink("a", "../outside"), member("a/.wh.victim")),
    "whiteout through a lower link": (member("lower/.wh.victim"), member("lower/.wh..wh..opq")),
    "whiteout of dots": (member(".wh..."), member("a/.wh..."), member(".wh.."), member(".wh.")),
    "link loop": (symlink("a", "b"), symlink("b", "a"), member("a/x")),
    "mode of the outside": (symlink("a", "../outside"), directory("a", mode=0o777)),
    "device for a whiteout": (member("a", tarfile.CHRTYPE, devmajor=0, devminor=0),),
    "overlay's own marks": (
        directory("a", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"}),
        directory("b", pax_headers={"SCHILY.xattr.user.overlay.redirect": "/outside"}),
    ),
    "sizes and owners that cannot be": (member("a", pax_headers={"size": "-5"}),),
    "owner too large": (member("a", pax_headers={"uid": "99999999999999999999"}),),
    "owner that is no number": (member("a", pax_headers={"gid": "many"}),),
    "time too large": (member("a", pax_headers={"mtime": "9" * 40}),),
    "time that is none": (member("a", pax_headers={"mtime": "now"}),),
    "name with a zero byte": (member("a", pax_headers={"path": "a\0b"}),),
    "name too long": (member("n" * 300),),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """`outside` with a victim, and layers beside it; the lower one has a link that leads outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("victim")
    (tmp_path / "lower").mkdir()
    (tmp_path / "lower" / "lower").symlink_to("../outside")
    (tmp_path / "upper").mkdir()
    return tmp_path


def listing(directory: Path) -> dict[str, tuple[int, bytes]]:
    found = {path: path.lstat() for path in [directory, *directory.rglob("*")]}
    return {
        str(path): (status.st_mode, path.read_bytes() if stat.S_ISREG(status.st_mode) else b"")
        for path, status in found.items()
    }


@pytest.mark.parametrize("kind", ["overlay", "native"])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_written_outside(place: Path, name: str, kind: Whiteouts) -> None:
    members = [copy.copy(info) for info in HOSTILE[name]]
    for info in members:
        info.linkname = info.linkname.replace("{outside}", str(place / "outside"))
    before = listing(place / "outside")
    lowers = [place / "lower"] if kind == "overlay" else []
    if kind == "native":
        (place / "upper" / "lower").symlink_to("../outside")
    with contextlib.suppress(PybuildError):
        apply_layer(archive(*members), place / "upper", lowers=lowers, whiteouts=kind)
    assert listing(place / "outside") == before
    assert sorted(path.name for path in place.iterdir()) == ["lower", "outside", "upper"]
    assert sorted(path.name for path in (place / "lower").iterdir()) == ["lower"]
    for path in (place / "upper").rglob("*"):
        names = os.listxattr(path, follow_symlinks=False)
        assert "user.overlay.redirect" not in names
        if "trusted.overlay.opaque" in names:
            assert path.name not in ("a", "b")
        assert path.lstat().st_ino != (place / "outside" / "victim").stat().st_ino


def test_what_is_written_through_links_stays_inside(place: Path) -> None:
    apply_layer(archive(symlink("a", "/b/../../c"), member("a/x")), place / "upper")
    assert (place / "upper" / "c" / "x").read_text() == "a/x"


def test_whiteouts_hide_what_is_below_but_not_what_is_beside(place: Path) -> None:
    lower = place / "lower"
    (lower / "d").mkdir()
    for name in ("d/old", "d/kept", "gone"):
        (lower / name).write_text(name)
    layer = archive(member(".wh.gone"), directory("d"), member("d/.wh.old"), member("d/new"), member(".wh.new"))
    apply_layer(layer, place / "upper", lowers=[lower])
    tree = LayeredTree([place / "upper", lower])
    assert tree.listdir("/d") == ["kept", "new"]
    assert tree.lookup("/gone", follow=False) is None
    (place / "second").mkdir()
    apply_layer(archive(member("d/.wh..wh..opq"), member("d/only")), place / "second", lowers=[place / "upper", lower])
    assert LayeredTree([place / "second", place / "upper", lower]).listdir("/d") == ["only"]


def test_an_opaque_mark_after_its_neighbours_spares_them(place: Path) -> None:
    (place / "lower" / "d").mkdir()
    (place / "lower" / "d" / "old").write_text("old")
    apply_layer(archive(member("d/new"), member("d/.wh..wh..opq")), place / "upper", lowers=[place / "lower"])
    assert LayeredTree([place / "upper", place / "lower"]).listdir("/d") == ["new"]


def test_attributes_and_the_digest(place: Path) -> None:
    layer = archive(
        directory("d", mode=0o2750, uid=1, gid=2, mtime=5),
        member("d/f", mode=0o4711, uid=3, gid=4, mtime=6, pax_headers={"mtime": "6.5"}),
        hard_link("d/h", "d/f"),
        symlink("d/l", "f"),
        member("d/p", tarfile.FIFOTYPE),
    )
    plain = layer.getvalue()
    applied = apply_layer(io.BytesIO(gzip.compress(plain)), place / "upper")
    assert (applied.diff_id, applied.entries) == (sha256(plain), 5)
    made = place / "upper" / "d"
    status = made.lstat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o2750, 5)
    file = (made / "f").lstat()
    assert (stat.S_IMODE(file.st_mode), file.st_mtime, file.st_nlink) == (0o4711, 6.5, 2)
    assert os.readlink(made / "l") == "f"
    assert stat.S_ISFIFO((made / "p").lstat().st_mode)
    if os.geteuid() == 0:
        assert [(status.st_uid, status.st_gid), (file.st_uid, file.st_gid)] == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not a tar" * 100, "damaged number"),
        (b"0" * 1024, "checksum"),
        (gzip.compress(archive(member("a")).getvalue())[:-30], "damaged|too early|ends"),
        (archive(member("a"), contents={"a": b"x" * 5000}).getvalue()[:2000], "ends"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "damaged"),
    ],
)
def test_damage_is_one_clear_error(place: Path, data: bytes, message: str) -> None:
    with pytest.raises(UnsafeArchive, match=message):
        apply_layer(io.BytesIO(data), place / "upper")


def test_limits(place: Path) -> None:
    with pytest.raises(UnsafeArchive, match="more than 1 entries"):
        apply_layer(archive(member("a"), member("b")), place / "upper", limits=Limits(entries=1))
    zeros = gzip.compress(archive(member("z"), contents={"z": bytes(8 << 20)}).getvalue())
    with pytest.raises(UnsafeArchive, match="times its size"):
        apply_layer(io.BytesIO(zeros), place / "upper", limits=Limits(ratio=10, free_size=1 << 20))
    with pytest.raises(UnsafeArchive, match="larger than"):
        apply_layer(io.BytesIO(zeros), place / "upper", limits=Limits(size=1 << 20))


WHOLE = archive(
    directory("d"),
    member("d/f", pax_headers={"mtime": "6.5", "SCHILY.xattr.user.a": "b"}),
    hard_link("d/h", "d/f"),
    symlink("d/l", "f"),
    member("n" * 150),
).getvalue()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4))
def test_damaged_archives_never_crash(tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, bytes]]) -> None:
    data = bytearray(WHOLE)
    for position, replacement in cuts:
        data[position : position + len(replacement)] = replacement
        block = position // 512 * 512
        if data[block + 257 : block + 262] == b"ustar":  # a sound checksum, or nothing behind it would be looked at
            header = bytearray(data[block : block + 512])
            header[148:156] = b" " * 8
            data[block + 148 : block + 156] = b"%06o\0 " % sum(header)
    place = tmp_path_factory.mktemp("fuzz")
    (place / "upper").mkdir()
    with contextlib.suppress(PybuildError, OSError):
        apply_layer(io.BytesIO(bytes(data)), place / "upper", limits=Limits(size=1 << 24))
    assert [path.name for path in place.iterdir()] == ["upper"]
