"""Images that mean harm, or are only strange: nothing outside their snapshots is touched, and errors are clear."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import State, oci_layout, scratch
from pybuild.errors import PybuildError
from pybuild.store.fsck import fsck
from pybuild.store.store import Store
from tests.embedded.conftest import Builder
from tests.unit.store.archives import archive, directory, hard_link, member, symlink

pytestmark = pytest.mark.engine

Members = tuple[tarfile.TarInfo, ...]


def hostile_image(place: Path, *layers: bytes) -> State:
    """An image of gzipped layers in a layout of its own."""
    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    listed = [blob(gzip.compress(layer, 6), "layer.v1.tar+gzip") for layer in layers]
    ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = {"architecture": machine, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ids}}
    described = blob(json.dumps(config).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "config": described, "layers": listed}
    top = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    (place / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return oci_layout(place, f"hostile@{top['digest']}")


def layer(*members: tarfile.TarInfo) -> bytes:
    return archive(*members).getvalue()


#: Two layers each, so that the second finds the links of the first below it.
LAYERS: dict[str, Callable[[Path], tuple[Members, Members]]] = {
    "paths with dots": lambda out: ((member("../../../x"),), (member(f"../../../../../..{out}/x"),)),
    "absolute paths": lambda out: ((member(f"{out}/x"),), (member(f"/{out}/y"), directory(f"{out}/d"))),
    "an absolute link": lambda out: ((symlink("a", str(out)),), (member("a/x"), directory("a/d"))),
    "chained links": lambda out: (
        (symlink("a", "b"), symlink("b", "c/d"), directory("c"), symlink("c/d", f"../../../../../../../..{out}")),
        (member("a/x"), hard_link("v", "a/victim"), member("v")),
    ),
    "hard links out": lambda out: (
        (hard_link("v", f"{out}/victim"),),
        (symlink("w", str(out)), hard_link("v", "w/victim"), member("v")),
    ),
    "whiteouts outside": lambda out: (
        (symlink("a", str(out)), member(f"..{out}/.wh.victim")),
        (
            member("a/.wh.victim"),
            member("a/.wh..wh..opq"),
            member(f"../../../../../..{out}/.wh.victim"),
            member(".wh..."),
        ),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_outside_is_touched(fresh: Builder, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("victim")
    lower, upper = LAYERS[name](outside)
    image = hostile_image(tmp_path / "layout", layer(*lower), layer(*upper))
    with contextlib.suppress(PybuildError):
        fresh(scratch().copy(image.path("/"), "/"))
    status = (outside / "victim").stat()
    assert (os.listdir(outside), (outside / "victim").read_text(), status.st_nlink) == (["victim"], "victim", 1)
    store = Store.open(fresh.root)
    assert fsck(store) == []
    inside = [path.lstat().st_ino for path in (fresh.root / "snapshots").rglob("*")]
    assert status.st_ino not in inside
    store.close()


def test_an_image_of_another_s_digest_is_refused(fresh: Builder, tmp_path: Path) -> None:
    image = hostile_image(tmp_path / "layout", layer(member("a")))
    largest = max((tmp_path / "layout" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes() + b"more")
    with pytest.raises(PybuildError, match="expected"):
        fresh(scratch().copy(image.path("/"), "/"))
    store = Store.open(fresh.root)
    assert [info.key for info in store.snapshots.walk()] == []
    assert fsck(store) == []
    store.close()


def test_a_hundred_thousand_entries(fresh: Builder, tmp_path: Path) -> None:
    many = io.BytesIO()
    with tarfile.open(fileobj=many, mode="w") as tar:
        for number in range(100_000):
            tar.addfile(member(f"d{number // 1000}/f{number}"))
    image = hostile_image(tmp_path / "layout", many.getvalue())
    tree = fresh.tree(scratch().copy(image.path("/d7"), "/d"))
    assert len(os.listdir(tree / "d")) == 1000


def test_a_highly_compressed_layer(fresh: Builder, tmp_path: Path) -> None:
    size = 256 << 20
    image = hostile_image(tmp_path / "layout", archive(member("zeros"), contents={"zeros": bytes(size)}).getvalue())
    tree = fresh.tree(scratch().copy(image.path("/zeros"), "/zeros"))
    assert (tree / "zeros").stat().st_size == size


def test_a_device_of_an_image_opens_nothing(fresh: Builder, base: State, tmp_path: Path) -> None:
    memory = member("mem", tarfile.CHRTYPE, devmajor=1, devminor=1, mode=0o666)
    disk = member("disk", tarfile.BLKTYPE, devmajor=8, devminor=0, mode=0o666)
    image = hostile_image(tmp_path / "layout", layer(memory, disk))
    with_devices = base.copy(image.path("/"), "/devices")
    script = "for d in mem disk; do head -c 1 /devices/$d >/dev/null 2>&1 && echo opened $d || echo refused $d; done"
    fresh(with_devices.run(script))
    assert fresh.log.split() == ["refused", "mem", "refused", "disk"]
