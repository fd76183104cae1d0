"""Reading caches: the manifest and the cache config, no layer. Mirrors BuildKit's cache/remotecache/import.go."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from pybuild.digest import Digest, parse_digest
from pybuild.errors import CacheImportError, DefinitionError, ReferenceFormatError, SourceFetchError, StoreError
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.document import as_object, as_strings, load_object
from pybuild.oci.imageconfig import CACHE_MEMBER
from pybuild.oci.manifest import Index, Manifest, parse_manifest
from pybuild.protocols import CacheSpec
from pybuild.remotecache.config import MEDIA_TYPE, parse_config, parse_records
from pybuild.remotecache.imports import ImportedCache, RemoteLayer
from pybuild.remotecache.place import CachePlace

DIFF_ID: Final = "containerd.io/uncompressed"
"""The annotation of a layer's descriptor that tells the digest of its plain archive."""
CREATED_AT: Final = "buildkit/createdat"
_MAX_DOCUMENT: Final = 64 << 20
_MAX_DEPTH: Final = 4


def read_cache(spec: CacheSpec, place: CachePlace) -> list[ImportedCache]:
    """Read a cache: one of its own, or those that images have in their configs.

    Args:
        spec: which.
        place: where it is.

    Raises:
        CacheImportError: it cannot be had, is damaged, or is no cache.
    """
    try:
        data, media_type = place.manifest()
        found = parse_manifest(data, media_type)
        entries = found.manifests if isinstance(found, Index) else (found.config,)
        config = next((entry for entry in entries if entry.media_type == MEDIA_TYPE), None)
        if config is not None:
            layers = found.manifests if isinstance(found, Index) else found.layers
            return [_own(spec, place, config, layers)]
        caches = [_inline(spec, place, image) for image in _images(place, found)]
    except CacheImportError as error:
        raise CacheImportError(f"{spec}: {error.message}") from None
    except (SourceFetchError, StoreError, DefinitionError, OSError) as error:
        message = getattr(error, "message", "") or str(error)
        raise CacheImportError(f"{spec}: {message}") from error
    there = [cache for cache in caches if cache is not None]
    if not there:
        raise CacheImportError(f"{spec}: there is an image, but no cache in it", hint="build it with --cache-to inline")
    return there


def _own(spec: CacheSpec, place: CachePlace, config: Descriptor, layers: Sequence[Descriptor]) -> ImportedCache:
    document = _read(place, config)
    described = [layer for layer in layers if layer.media_type != MEDIA_TYPE]
    known = {
        layer.digest: RemoteLayer(descriptor=attrs.evolve(layer, annotations=()), diff_id=_diff_id(layer))
        for layer in described
        if DIFF_ID in dict(layer.annotations)
    }
    return ImportedCache(spec=spec, config=parse_config(document), layers=known)


def _diff_id(layer: Descriptor) -> Digest:
    try:
        return parse_digest(dict(layer.annotations)[DIFF_ID])
    except ReferenceFormatError as error:
        raise CacheImportError(f"layer {layer.digest}: {error.message}") from None


def _images(place: CachePlace, found: Manifest | Index, depth: int = 0) -> Iterator[Manifest]:
    """The images of a manifest or index, attestations not among them."""
    if isinstance(found, Manifest):
        yield found
        return
    if depth >= _MAX_DEPTH:
        raise CacheImportError("its indexes are nested too deeply")
    for entry in found.manifests:
        if entry.media_type in mediatypes.MANIFESTS | mediatypes.INDEXES:
            yield from _images(place, parse_manifest(_read(place, entry), entry.media_type), depth + 1)


def _inline(spec: CacheSpec, place: CachePlace, image: Manifest) -> ImportedCache | None:
    if image.config.media_type not in mediatypes.CONFIGS:
        return None
    try:
        document = load_object(_read(place, image.config))
        text = document.get(CACHE_MEMBER)
        if text is None:
            return None
        records = base64.b64decode(str(text), validate=True)
        diff_ids = [parse_digest(item) for item in as_strings(as_object(document.get("rootfs")).get("diff_ids"))]
    except (ValueError, TypeError, binascii.Error, ReferenceFormatError) as error:
        raise CacheImportError(f"invalid image config: {error}") from None
    if len(diff_ids) != len(image.layers):
        raise CacheImportError(f"{len(image.layers)} layers, but the config lists {len(diff_ids)}")
    layers = {
        layer.digest: RemoteLayer(descriptor=layer, diff_id=diff_id)
        for layer, diff_id in zip(image.layers, diff_ids, strict=True)
    }
    config = parse_records(records, [layer.digest for layer in image.layers])
    return ImportedCache(spec=spec, config=config, layers=layers)


def _read(place: CachePlace, descriptor: Descriptor) -> bytes:
    if descriptor.size > _MAX_DOCUMENT:
        raise CacheImportError(f"a document of {descriptor.size} bytes is not plausible")
    data = place.read(descriptor)
    if len(data) != descriptor.size:
        raise CacheImportError(f"{descriptor.digest} has {len(data)} bytes, not {descriptor.size}")
    return data
