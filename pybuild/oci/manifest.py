"""Image manifests and indexes, parsed strictly: what an image consists of. OCI image specification, Docker schema 2."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pybuild.digest import Digest, parse_digest
from pybuild.errors import DefinitionError, PybuildError
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.document import as_list, as_object, as_pairs, as_strings, load_object
from pybuild.platform import Platform
from pybuild.values import Value


@attrs.frozen(kw_only=True)
class Manifest(Value):
    """One image: its config and its layers, bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@attrs.frozen(kw_only=True)
class Index(Value):
    """Several images, most often one per platform."""

    manifests: tuple[Descriptor, ...]


def parse_manifest(data: bytes, media_type: str = "") -> Manifest | Index:
    """Parse a manifest or an index; the document's own media type counts, then `media_type`, then its members.

    Raises:
        DefinitionError: it is not JSON, or not such a document.

    Example:
        >>> parse_manifest(b'{"schemaVersion": 2, "manifests": []}')
        Index(manifests=())
    """
    try:
        document = load_object(data)
        kind = str(document.get("mediaType") or media_type)
        if document.get("schemaVersion") != 2:
            raise ValueError(f"schema version {document.get('schemaVersion')!r} is not supported")
        if kind in mediatypes.INDEXES or ("manifests" in document and "layers" not in document):
            return Index(manifests=tuple(parse_descriptor(item) for item in as_list(document["manifests"])))
        if kind and kind not in mediatypes.MANIFESTS:
            raise ValueError(f'media type "{kind}" is not an image')
        return Manifest(
            config=parse_descriptor(document["config"]),
            layers=tuple(parse_descriptor(item) for item in as_list(document["layers"])),
        )
    except (ValueError, TypeError, KeyError, AttributeError, PybuildError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DefinitionError(f"invalid image manifest: {what}") from error


def parse_descriptor(document: object) -> Descriptor:
    """A descriptor from JSON. Raises TypeError, ValueError, KeyError."""
    members = as_object(document)
    size = members["size"]
    media_type = members["mediaType"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise TypeError(f"size must be a number of bytes, got {size!r}")
    if not isinstance(media_type, str):
        raise TypeError(f"mediaType must be text, got {media_type!r}")
    platform = members.get("platform")
    return Descriptor(
        media_type=media_type,
        digest=_digest(members["digest"]),
        size=size,
        annotations=as_pairs(members.get("annotations")),
        platform=None if platform is None else _platform(as_object(platform)),
        urls=as_strings(members.get("urls")),
    )


def _digest(value: object) -> Digest:
    if not isinstance(value, str):
        raise TypeError(f"digest must be text, got {value!r}")
    return parse_digest(value)


def _platform(document: Mapping[str, object]) -> Platform:
    return Platform(
        os=str(document.get("os", "")),
        architecture=str(document.get("architecture", "")),
        variant=str(document.get("variant") or ""),
        os_version=str(document.get("os.version") or ""),
        os_features=as_strings(document.get("os.features")),
    )
