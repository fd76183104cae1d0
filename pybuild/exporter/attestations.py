"""Attestations beside what they are about: a manifest of their own in an image's index, files beside exported files.

Mirrors BuildKit's docs/attestations/attestation-storage.md: in-toto statements as layers, an artifact manifest whose
subject is the image (or with `oci-artifact=false` an image manifest with a config that says nothing), and an entry of
the index for the platform `unknown/unknown`, so that nobody runs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import attrs

from pybuild.attest.statement import MEDIA_TYPE, Subject, image_subjects, statement
from pybuild.digest import Digest, sha256
from pybuild.errors import ExportError
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor, as_json
from pybuild.platform import Platform
from pybuild.protocols import Attestation, OutputSpec, PlatformResult

if TYPE_CHECKING:
    from pybuild.store.tree import LayeredTree

UNKNOWN: Final = Platform("unknown", "unknown")
_ARTIFACT: Final = "application/vnd.docker.attestation.manifest.v1+json"
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
_EMPTY: Final = b"{}"
_REFERENCE_TYPE: Final = "vnd.docker.reference.type"
_REFERENCE_DIGEST: Final = "vnd.docker.reference.digest"
_PREDICATE_TYPE: Final = "in-toto.io/predicate-type"
_CHUNK: Final = 1 << 20


@attrs.frozen(kw_only=True)
class Blob:
    """Bytes with their descriptor."""

    descriptor: Descriptor
    data: bytes

    @classmethod
    def of(cls, media_type: str, data: bytes) -> Blob:
        """Bytes of a type, with the descriptor that they have."""
        return cls(descriptor=Descriptor(media_type=media_type, digest=sha256(data), size=len(data)), data=data)


@attrs.frozen(kw_only=True)
class AttestationManifest:
    """The manifest, whose descriptor is as the index has it, and what it refers to."""

    manifest: Blob
    blobs: tuple[Blob, ...]


def attestation_manifest(
    result: PlatformResult, image: Descriptor, names: Sequence[str], *, artifact: bool
) -> AttestationManifest:
    """The manifest of all that is said of one image.

    Args:
        result: what was made for its platform, with attestations.
        image: the image's manifest.
        names: what the image is called.
        artifact: as an artifact with a subject; otherwise as an image.
    """
    subjects = image_subjects(names, image.digest, result.platform)
    layers = [_layer(attestation, subjects) for attestation in result.attestations]
    config = _empty() if artifact else _config(layers)
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": mediatypes.OCI_MANIFEST}
    if artifact:
        document["artifactType"] = _ARTIFACT
    document["config"] = as_json(config.descriptor) | ({"data": "e30="} if artifact else {})
    document["layers"] = [as_json(layer.descriptor) for layer in layers]
    if artifact:
        document["subject"] = as_json(attrs.evolve(image, platform=None, annotations=()))
    data = json.dumps(document, indent=2, ensure_ascii=False).encode()
    known = ((_REFERENCE_DIGEST, image.digest), (_REFERENCE_TYPE, "attestation-manifest"))
    made = Blob.of(mediatypes.OCI_MANIFEST, data)
    entry = attrs.evolve(made.descriptor, annotations=known, platform=UNKNOWN)
    return AttestationManifest(manifest=attrs.evolve(made, descriptor=entry), blobs=(config, *layers))


def _layer(attestation: Attestation, subjects: Sequence[Subject]) -> Blob:
    made = Blob.of(MEDIA_TYPE, json.dumps(statement(attestation, subjects), ensure_ascii=False).encode())
    annotations = ((_PREDICATE_TYPE, attestation.predicate_type),)
    return attrs.evolve(made, descriptor=attrs.evolve(made.descriptor, annotations=annotations))


def _empty() -> Blob:
    return Blob.of(_EMPTY_TYPE, _EMPTY)


def _config(layers: Sequence[Blob]) -> Blob:
    document = {
        "architecture": UNKNOWN.architecture,
        "os": UNKNOWN.os,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.descriptor.digest for layer in layers]},
    }
    return Blob.of(mediatypes.OCI_CONFIG, json.dumps(document).encode())


# ------------------------------------------------------------------------------------------------------- files


def attestation_files(
    output: OutputSpec, result: PlatformResult, tree: LayeredTree, *, shared: bool
) -> list[tuple[str, bytes]]:
    """What is said of exported files, by file name; every file is a subject.

    Args:
        output: may give their names a prefix: `attestation-prefix`.
        result: what was made for one platform, with attestations.
        tree: its files.
        shared: other platforms' files go to the same directory, so names must say the platform.

    Raises:
        ExportError: the result has a file of such a name.
    """
    if not result.attestations:
        return []
    prefix = dict(output.attrs).get("attestation-prefix", "")
    subjects = list(_files(tree))
    taken = {subject.name for subject in subjects}
    found: list[tuple[str, bytes]] = []
    for attestation in result.attestations:
        name = prefix + _named(attestation.filename, result.platform, shared=shared)
        if name in taken:
            raise ExportError(
                f'the result has a file "{name}", which is the name of an attestation',
                hint="give those a prefix: attestation-prefix=NAME",
            )
        text = json.dumps(statement(attestation, subjects), indent=2, ensure_ascii=False)
        found.append((name, text.encode()))
    return found


def _named(filename: str, platform: Platform, *, shared: bool) -> str:
    if not shared:
        return filename
    path = PurePosixPath(filename)
    return f"{path.stem}.{str(platform).replace('/', '_')}{path.suffix}"


def _files(tree: LayeredTree) -> Iterator[Subject]:
    for entry in tree.walk():
        if not entry.is_dir and entry.kind == "file":
            yield Subject(entry.path.lstrip("/"), _digest_of(entry.real))


def _digest_of(path: str) -> Digest:
    from hashlib import sha256 as hashed

    found = hashed()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return Digest(f"sha256:{found.hexdigest()}")


__all__ = ["AttestationManifest", "Blob", "attestation_files", "attestation_manifest"]
