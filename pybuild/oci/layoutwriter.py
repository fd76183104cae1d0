"""Writing to OCI image layouts: blobs that are not there yet, and an index that never names what is not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pybuild.digest import Digest
from pybuild.oci import mediatypes
from pybuild.oci.document import as_list, as_object, load_object
from pybuild.oci.layout import IMAGE_NAME, REF_NAME

LAYOUT_FILE: Final = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutWriter:
    """Adds to the layout in a directory, which is made when it is not there. Raises OSError throughout.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blobs = path / "blobs" / "sha256"
        self._blobs.mkdir(parents=True, exist_ok=True)

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there."""
        return self._place(digest).exists()

    def copy(self, digest: Digest, source: BinaryIO) -> None:
        """Write a blob whose bytes are known to have that digest."""
        with _replacing(self._place(digest)) as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def put(self, digest: Digest, data: bytes) -> None:
        """Write a small blob."""
        _write(self._place(digest), data)

    def name(self, entry: Mapping[str, object]) -> None:
        """Put a manifest into the index, in the place of one with the same name, or the same digest.

        Args:
            entry: its descriptor, with the annotations by which tools find it.

        Raises:
            ValueError: there is an index that is none.
        """
        _write(self._path / "oci-layout", LAYOUT_FILE)
        index = self._path / "index.json"
        _write(index, index_document([*_others(index, entry), entry]))

    def _place(self, digest: Digest) -> Path:
        return self._blobs / digest.partition(":")[2]


def index_document(manifests: Sequence[Mapping[str, object]]) -> bytes:
    """The text of index.json."""
    document = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": list(manifests)}
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def _others(index: Path, entry: Mapping[str, object]) -> list[Mapping[str, object]]:
    """What an existing index holds beside manifests of the same name, or the same digest."""
    if not index.exists():
        return []
    try:
        found = [as_object(item) for item in as_list(load_object(index.read_bytes())["manifests"])]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'"{index}" is not an image index') from error
    name = _name_of(entry)
    return [
        other
        for other in found
        if other.get("digest") != entry["digest"] and (not any(name) or _name_of(other) != name)
    ]


def _name_of(entry: Mapping[str, object]) -> tuple[object, object]:
    annotations = as_object(entry.get("annotations"))
    return annotations.get(IMAGE_NAME), annotations.get(REF_NAME)


def _write(path: Path, content: bytes) -> None:
    with _replacing(path) as file:
        file.write(content)


@contextmanager
def _replacing(path: Path) -> Generator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well."""
    staging = path.with_name(f"{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with staging.open("xb") as file:
            yield file
        staging.replace(path)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise
