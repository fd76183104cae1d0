"""Images in OCI archives, as a test looks at them: config, history, and the members of every layer."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen
class Member:
    """One entry of a layer; `text` is a regular file's content."""

    info: tarfile.TarInfo
    text: str = ""

    @property
    def facts(self) -> tuple[str, int, int, int]:
        """Kind (`d`, `-`, `l`, `h` for a hard link, `c`, `b`, `p`), mode, owner."""
        kinds = {b"5": "d", b"0": "-", b"2": "l", b"1": "h", b"3": "c", b"4": "b", b"6": "p"}
        return kinds[self.info.type], self.info.mode, self.info.uid, self.info.gid


@attrs.frozen
class Image:
    """What an archive holds."""

    config: dict[str, Any]
    layers: tuple[dict[str, Member], ...]

    @property
    def top(self) -> dict[str, Member]:
        """The members of the last layer, by name."""
        return self.layers[-1]


def read_image(path: Path) -> Image:
    """Read an OCI archive with one image in it."""
    with tarfile.open(path) as archive:

        def blob(digest: str) -> bytes:
            file = archive.extractfile("blobs/" + digest.replace(":", "/"))
            assert file is not None
            return file.read()

        index = archive.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.load(index)["manifests"][0]["digest"]))
        layers = tuple(_members(gzip.decompress(blob(layer["digest"]))) for layer in manifest["layers"])
        return Image(config=json.loads(blob(manifest["config"]["digest"])), layers=layers)


def _members(data: bytes) -> dict[str, Member]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found: dict[str, Member] = {}
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            found[info.name] = Member(info, file.read().decode(errors="replace") if file is not None else "")
        return found


def extract_all(archive: tarfile.TarFile, place: Path) -> None:
    """Unpack an archive of our own, owners by number; old Pythons have no filters, new ones want one."""
    filters = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
    archive.extractall(place, numeric_owner=True, **filters)  # type: ignore[arg-type]
