"""Layers as blobs: the archive of a snapshot's changes, compressed, in the content store, made once.

What was made is remembered with the snapshot (as labels, which also keep the blob as long as the snapshot); a layer
that was pulled is remembered in the same way, so a base image is exported with the blobs that it came with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import attrs

from pybuild.digest import Digest
from pybuild.errors import NotFound
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.protocols import ContentInfo
from pybuild.store.compression import Compression, Writable, compressed, compression_of
from pybuild.store.layerdiff import write_layer
from pybuild.store.store import Store
from pybuild.values import Value

_MEDIA_TYPES: Final[dict[Compression, str]] = {
    "gzip": mediatypes.OCI_LAYER_GZIP,
    "zstd": mediatypes.OCI_LAYER_ZSTD,
    "uncompressed": mediatypes.OCI_LAYER,
}
_ORIGIN: Final = "origin"
Hold = Callable[[str], None]
"""Takes the digest of a blob under a lease."""


@attrs.frozen(kw_only=True)
class Layer(Value):
    """A layer of an image: its blob, and the digest of the plain archive."""

    descriptor: Descriptor
    diff_id: Digest


@attrs.frozen(kw_only=True)
class LayerForm(Value):
    """How a layer is stored. `level` None is the default of the compression; `force` also converts pulled layers.

    `epoch`: seconds since 1970 to which later times of files are set, in layers that are made here.
    """

    compression: Compression = "gzip"
    level: int | None = None
    force: bool = False
    epoch: int | None = None

    @property
    def label(self) -> str:
        """The name under which a snapshot remembers its blob of this form."""
        level = "" if self.level is None else str(self.level)
        epoch = "" if self.epoch is None else str(self.epoch)
        return f"layer.{self.compression}.{level}.{epoch}"


def layer_of(store: Store, key: str, form: LayerForm, hold: Hold) -> Layer:
    """The layer of a committed snapshot, made when there is none of this form yet. Thread-safe.

    Args:
        store: the store.
        key: the snapshot.
        form: how it shall be stored.
        hold: called with the blob's digest before the blob is relied on.

    Raises:
        NotFound: there is no such snapshot.
        StoreFull: no room for the blob.
    """
    labels = dict(store.snapshots.stat(key).labels)
    origin = _remembered(store, labels, f"layer.{_ORIGIN}", hold)
    if origin is not None and not (form.force and _compression(store, origin) != form.compression):
        return origin
    found = _remembered(store, labels, form.label, hold)
    if found is not None:
        return found
    with store.locks.exclusive(f"layer:{key}:{form.label}"):
        found = _remembered(store, dict(store.snapshots.stat(key).labels), form.label, hold)
        if found is not None:
            return found
        layer = _make(store, key, form, hold) if origin is None else _convert(store, origin, form, hold)
        store.snapshots.set_labels(key, _labels(form.label, layer))
        return layer


def remember(store: Store, key: str, layer: Layer) -> None:
    """Note the blob that a snapshot was unpacked from: exports use it as it came."""
    store.snapshots.set_labels(key, _labels(f"layer.{_ORIGIN}", layer))


def _remembered(store: Store, labels: dict[str, str], label: str, hold: Hold) -> Layer | None:
    digest = labels.get(label)
    if digest is None:
        return None
    hold(digest)
    try:
        info = store.content.info(Digest(digest))
    except NotFound:
        return None
    media_type = labels[f"{label}.type"]
    descriptor = Descriptor(media_type=media_type, digest=info.digest, size=info.size)
    return Layer(descriptor=descriptor, diff_id=Digest(labels[f"{label}.diff"]))


def _labels(label: str, layer: Layer) -> dict[str, str]:
    descriptor = layer.descriptor
    return {label: descriptor.digest, f"{label}.type": descriptor.media_type, f"{label}.diff": layer.diff_id}


class _Hashed:
    """Passes bytes on and hashes them."""

    def __init__(self, target: Writable) -> None:
        self._target = target
        self._hash = hashlib.sha256()

    def write(self, data: bytes | memoryview, /) -> int:
        self._hash.update(data)
        self._target.write(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self._hash.hexdigest()}")


def _make(store: Store, key: str, form: LayerForm, hold: Hold) -> Layer:
    with store.content.writer() as blob:
        with compressed(blob, form.compression, form.level) as plain:
            hashed = _Hashed(plain)
            write_layer(hashed, store.snapshots, key, epoch=form.epoch)
        hold(blob.digest)
        info = blob.commit()
    return Layer(descriptor=_descriptor(info, form), diff_id=hashed.digest)


def _convert(store: Store, layer: Layer, form: LayerForm, hold: Hold) -> Layer:
    """A layer that came from elsewhere in another compression: the same plain archive, so the same diff id."""
    from pybuild.store.compression import decompressed

    with store.content.open(layer.descriptor.digest) as stream, store.content.writer() as blob:
        with decompressed(stream) as plain, compressed(blob, form.compression, form.level) as target:
            while data := plain.read(1 << 20):
                target.write(data)
        hold(blob.digest)
        info = blob.commit()
    return Layer(descriptor=_descriptor(info, form), diff_id=layer.diff_id)


def _descriptor(info: ContentInfo, form: LayerForm) -> Descriptor:
    return Descriptor(media_type=_MEDIA_TYPES[form.compression], digest=info.digest, size=info.size)


def _compression(store: Store, layer: Layer) -> Compression:
    with store.content.open(layer.descriptor.digest) as stream:
        return compression_of(stream.read(4))
