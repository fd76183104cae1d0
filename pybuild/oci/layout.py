"""OCI image layouts: a directory with blobs and an index. OCI image specification, image-layout.md."""

from __future__ import annotations

from pathlib import Path

from pybuild.digest import Digest, sha256
from pybuild.errors import DefinitionError, DigestMismatch, NotFound, ReferenceFormatError
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.manifest import Index, parse_manifest
from pybuild.oci.reference import parse_reference

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"


class Layout:
    """A layout to be read.

    Args:
        path: its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def index(self) -> Index:
        """The images in it. Raises NotFound, DefinitionError."""
        try:
            data = (self.path / "index.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            what = "has no index.json" if self.path.is_dir() else "is not there"
            raise NotFound(f'"{self.path}" is not an OCI image layout: it {what}') from None
        found = parse_manifest(data, "application/vnd.oci.image.index.v1+json")
        if not isinstance(found, Index):
            raise DefinitionError(f'"{self.path / "index.json"}" is not an image index')
        return found

    def find(self, ref: str) -> list[Descriptor]:
        """The images called `ref`; several when it exists for several platforms.

        Args:
            ref: `name:tag`, a tag alone, or either with `@digest`.

        Raises:
            NotFound: none is; the hint names what there is.
        """
        name, _, digest = ref.partition("@")
        entries = self.index().manifests
        if digest:
            found = [entry for entry in entries if entry.digest == digest]
        else:
            found = [entry for entry in entries if _is_called(entry, name)]
        if not found:
            known = sorted({label for entry in entries if (label := _label(entry))})
            what = ", ".join(known) or ", ".join(entry.digest for entry in entries) or "nothing"
            raise NotFound(f'there is no image "{ref}" in the layout "{self.path}"', hint=f"it holds: {what}")
        return found

    def blob(self, digest: Digest) -> Path:
        """Where a blob is. Raises NotFound."""
        algorithm, _, encoded = digest.partition(":")
        path = self.path / "blobs" / algorithm / encoded
        if not path.is_file():
            raise NotFound(f'the layout "{self.path}" lacks the blob {digest}', hint="copy the image there again")
        return path

    def read(self, descriptor: Descriptor) -> bytes:
        """The bytes of a small blob, verified. Raises NotFound, DigestMismatch."""
        data = self.blob(descriptor.digest).read_bytes()
        if descriptor.digest.startswith("sha256:") and sha256(data) != descriptor.digest:
            raise DigestMismatch(descriptor.digest, sha256(data))
        return data


def _label(entry: Descriptor) -> str:
    annotations = dict(entry.annotations)
    full = annotations.get(IMAGE_NAME, "")
    return full or annotations.get(REF_NAME, "")


def _is_called(entry: Descriptor, name: str) -> bool:
    """Whether a descriptor is the image `name`: by its full name, or by a tag that may stand for it."""
    annotations = dict(entry.annotations)
    tag, full = annotations.get(REF_NAME, ""), annotations.get(IMAGE_NAME, "")
    if name in (tag, full):
        return bool(name)
    if full and _normal(full) == _normal(name):
        return True
    if ":" in tag or "/" in tag:
        return _normal(tag) == _normal(name)
    return not full and bool(tag) and name.rpartition("/")[2].partition(":")[2] == tag


def _normal(name: str) -> str:
    try:
        return str(parse_reference(name))
    except ReferenceFormatError:
        return name
