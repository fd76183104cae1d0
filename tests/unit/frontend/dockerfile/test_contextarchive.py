"""Archives as build contexts: what is unpacked, and that nothing is written outside, with every Python."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pybuild.errors import DefinitionError
from pybuild.frontend.dockerfile.contextarchive import unpack_context


def member(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, 1_000_000
    return info


def unpacked(place: Path, *members: tarfile.TarInfo) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info in members:
            info.size = 4 if info.isreg() else 0
            archive.addfile(info, io.BytesIO(b"text") if info.isreg() else None)
    buffer.seek(0)
    context = place / "context"
    context.mkdir()
    with tarfile.open(fileobj=buffer) as archive:
        unpack_context(archive, context)
    return context


def test_files_directories_and_links(tmp_path: Path) -> None:
    context = unpacked(
        tmp_path,
        member("dir", tarfile.DIRTYPE, mode=0o555),
        member("dir/file", mode=0o6777),
        member("/absolute"),
        member("link", tarfile.SYMTYPE, link="dir/file"),
        member("hard", tarfile.LNKTYPE, link="dir/file", mode=0o755),
        member("null", tarfile.CHRTYPE),
    )
    for name in ("link", "hard", "absolute"):
        assert (context / name).read_text() == "text"
    assert (context / "dir/file").stat().st_mode & 0o7777 == 0o755
    assert (context / "dir").stat().st_mtime == 1_000_000
    assert not (context / "null").exists()


@pytest.mark.parametrize(
    "members",
    [
        (member("../out"),),
        (member("dir/../../out"),),
        (member("way", tarfile.SYMTYPE, link=".."), member("way/out")),
        (member("way", tarfile.SYMTYPE, link="/"), member("way/tmp/out")),
        (member("hard", tarfile.LNKTYPE, link="../secret"),),
        (member("way", tarfile.SYMTYPE, link=".."), member("hard", tarfile.LNKTYPE, link="way/secret")),
    ],
)
def test_nothing_outside_is_written_or_read(tmp_path: Path, members: tuple[tarfile.TarInfo, ...]) -> None:
    (tmp_path / "secret").write_text("s")
    with pytest.raises(DefinitionError, match="outside"):
        unpacked(tmp_path, *members)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["context", "secret"]
    assert not (tmp_path / "context/hard").exists()
