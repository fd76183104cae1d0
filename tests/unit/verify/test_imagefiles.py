"""Reading images for comparison: layers over each other, whiteouts, hard links; and what counts as equal."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import attrs
import pytest

from pybuild.errors import ExportError
from pybuild.verify.compare import _aspects
from pybuild.verify.imagefiles import File, ImageFiles, ImageReader


def member(name: str, data: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, data


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if data else None)
    return buffer.getvalue()


def image(path: Path, *layers: bytes) -> ImageFiles:
    blobs: dict[str, bytes] = {}

    def put(data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{name}"] = data
        return f"sha256:{name}"

    config = put(json.dumps({"config": {}}).encode())
    packed = [put(gzip.compress(layer, mtime=0)) for layer in layers]
    manifest = put(
        json.dumps({"config": {"digest": config}, "layers": [{"digest": digest} for digest in packed]}).encode()
    )
    blobs["index.json"] = json.dumps({"manifests": [{"digest": manifest}]}).encode()
    path.write_bytes(tar(*(member(name, data) for name, data in blobs.items())))
    return ImageReader().read(path)


DIRECTORY = {"type": tarfile.DIRTYPE, "mode": 0o755}


def test_upper_layers_win_and_whiteouts_remove(tmp_path: Path) -> None:
    found = image(
        tmp_path / "i.tar",
        tar(member("d/", **DIRECTORY), member("d/gone", b"1"), member("d/kept", b"1"), member("o/", **DIRECTORY),
            member("o/old", b"1"), member("t/", **DIRECTORY), member("t/inside", b"1")),
        tar(member("d/.wh.gone"), member("o/.wh..wh..opq"), member("o/new", b"2"), member("t", b"a file now")),
    )  # fmt: skip
    assert sorted(found.files) == ["/d", "/d/kept", "/o", "/o/new", "/t"]
    assert found.files["/o/new"].layer == 1
    assert found.files["/d/kept"].layer == 0
    assert found.files["/t"].kind == "file"
    assert found.layers == 2


def test_a_repeated_directory_stays_its_first_layers_own(tmp_path: Path) -> None:
    once = member("d/", **DIRECTORY)
    changed = member("d/", type=tarfile.DIRTYPE, mode=0o700)
    found = image(tmp_path / "i.tar", tar(once), tar(once, member("d/f", b"1")))
    assert found.files["/d"].layer == 0
    found = image(tmp_path / "i.tar", tar(once), tar(changed))
    assert (found.files["/d"].layer, found.files["/d"].mode) == (1, 0o700)


def test_hard_links_are_one_file_with_several_names(tmp_path: Path) -> None:
    link = member("b", type=tarfile.LNKTYPE, linkname="a")
    found = image(tmp_path / "i.tar", tar(member("a", b"data", mode=0o640), link))
    assert found.files["/a"] == found.files["/b"]
    assert found.files["/b"].link == "/a"
    assert found.files["/b"].content == hashlib.sha256(b"data").hexdigest()


def test_what_is_no_image_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "i.tar").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="is no image"):
        ImageReader().read(tmp_path / "i.tar")


ONE = File(kind="file", mode=0o644, uid=0, gid=0, content="a" * 64, size=1, mtime=5)


@pytest.mark.parametrize(
    ("change", "aspect"),
    [
        ({"kind": "directory"}, "kind"),
        ({"mode": 0o755}, "mode"),
        ({"uid": 1}, "owner"),
        ({"gid": 1}, "owner"),
        ({"content": "b" * 64}, "content"),
        ({"link": "/x"}, "link"),
        ({"device": (1, 3)}, "device"),
        ({"xattrs": (("security.capability", "00"),)}, "xattrs"),
    ],
)
def test_every_aspect_is_compared(change: dict[str, object], aspect: str) -> None:
    other = attrs.evolve(ONE, **change)
    assert [name for name, _, _ in _aspects(ONE, other, None)] == [aspect]
    assert [name for name, _, _ in _aspects(other, ONE, None)] == [aspect]


def test_absence_is_a_difference_and_times_alone_are_none() -> None:
    assert list(_aspects(ONE, None, None)) == [("presence", "file", "absent")]
    assert list(_aspects(ONE, attrs.evolve(ONE, mtime=9, layer=3), None)) == []
