"""Puts an image together: layers from snapshots, the config with its history, the manifest.

The same result exported again gives the same bytes: times come from when the layers were made, or from the epoch that
the user sets. Formats: OCI image specification, image manifest and config; Docker's schema 2 on demand.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import attrs

from pybuild.digest import Digest, sha256
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.imageconfig import CACHE_MEMBER, History, ImageConfig, dump_image_config
from pybuild.protocols import InlineCache, PlatformResult
from pybuild.store.layers import Hold, Layer, LayerForm, layer_of
from pybuild.store.store import Store

_DOCKER_TYPES = {
    mediatypes.OCI_LAYER: mediatypes.DOCKER_LAYER,
    mediatypes.OCI_LAYER_GZIP: mediatypes.DOCKER_LAYER_GZIP,
}
_OCI_TYPES = {docker: oci for oci, docker in _DOCKER_TYPES.items()}
_THREADS = 2
_OTHER_STEP = "pybuild"


@attrs.frozen(kw_only=True)
class Image:
    """An image as documents and blobs: `manifest` and `config` are JSON bytes, layers lie in the content store."""

    manifest: bytes
    descriptor: Descriptor
    config: bytes
    config_digest: Digest
    layers: tuple[Descriptor, ...]


def assemble(
    store: Store,
    result: PlatformResult,
    form: LayerForm,
    hold: Hold,
    *,
    oci: bool,
    epoch: int | None = None,
    annotations: Mapping[str, str] | None = None,
    inline_cache: InlineCache | None = None,
) -> Image:
    """Make the image of a result.

    Args:
        store: where its snapshots are.
        result: what was made for one platform.
        form: how layers are stored.
        hold: called with the digest of every layer's blob.
        oci: OCI media types; otherwise Docker's.
        epoch: seconds since 1970 that stand for when layers were made.
        annotations: of the manifest.
        inline_cache: see `protocols.ExportInput`.
    """
    keys = store.snapshots.parents(result.ref.snapshot) if result.ref.snapshot else ()
    layers = _layers(store, keys, form, hold)
    created = [_time(store.snapshots.stat(key).created, epoch) for key in keys]
    config = _config(result, [layer.diff_id for layer in layers], created)
    config = _with_cache(config, None if inline_cache is None else inline_cache(keys))
    config_bytes = dump_image_config(config)
    config_digest = sha256(config_bytes)
    descriptors = tuple(typed(layer.descriptor, oci=oci) for layer in layers)
    media_type = mediatypes.OCI_MANIFEST if oci else mediatypes.DOCKER_MANIFEST
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {
            "mediaType": mediatypes.OCI_CONFIG if oci else mediatypes.DOCKER_CONFIG,
            "digest": config_digest,
            "size": len(config_bytes),
        },
        "layers": [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size} for layer in descriptors
        ],
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    manifest = json.dumps(document, indent=2, ensure_ascii=False).encode()
    return Image(
        manifest=manifest,
        descriptor=Descriptor(
            media_type=media_type, digest=sha256(manifest), size=len(manifest), platform=config.platform
        ),
        config=config_bytes,
        config_digest=config_digest,
        layers=descriptors,
    )


def _layers(store: Store, keys: Sequence[str], form: LayerForm, hold: Hold) -> list[Layer]:
    def one(key: str) -> Layer:
        return layer_of(store, key, form, hold)

    if len(keys) < _THREADS:
        return [one(key) for key in keys]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        return list(pool.map(one, keys))


def _config(source: PlatformResult, diff_ids: Sequence[Digest], created: Sequence[str]) -> ImageConfig:
    """The result's config with its layers; what the base image says of its own layers stays where they are in it."""
    base = source.config
    if source.layer_history is None:
        history = complete_history(base.history, created)
        latest = next((entry.created for entry in reversed(history) if entry.created), base.created)
        return attrs.evolve(base, diff_ids=tuple(diff_ids), history=history, created=latest)
    count = len(base.diff_ids)
    inherited = bool(count) and tuple(diff_ids[:count]) == base.diff_ids
    old = base.history if inherited else ()
    if sum(not entry.empty_layer for entry in old) != (count if inherited else 0):
        old = tuple(History(created_by=_OTHER_STEP) for _ in range(count if inherited else 0))
    new = _own_history(source.layer_history, created[count if inherited else 0 :])
    latest = max(created[count if inherited else 0 :], default=base.created)
    return attrs.evolve(base, diff_ids=tuple(diff_ids), history=(*old, *new), created=latest)


def _with_cache(config: ImageConfig, records: bytes | None) -> ImageConfig:
    """The config with what the build says of its steps, and never with what the base image says of its own."""
    other = tuple(pair for pair in config.other if pair[0] != CACHE_MEMBER)
    if records is not None:
        other = (*other, (CACHE_MEMBER, json.dumps(base64.b64encode(records).decode())))
    return attrs.evolve(config, other=other)


def complete_history(history: Sequence[History], created: Sequence[str]) -> tuple[History, ...]:
    """A frontend's history, fitted to the layers that there are and with the times of those that had none.

    Changes of the config alone get the time of the layer before them, or of the first one with a time. Mirrors
    `normalizeLayersAndHistory` of BuildKit's exporter/containerimage/writer.go.

    Args:
        history: oldest first.
        created: when each layer was made.
    """
    fitted = list(history)
    surplus = sum(not entry.empty_layer for entry in fitted) - len(created)
    for number in range(len(fitted) - 1, -1, -1):
        if surplus > 0 and not fitted[number].empty_layer:
            fitted[number] = attrs.evolve(fitted[number], empty_layer=True)
            surplus -= 1
    fitted += [History(created_by=_OTHER_STEP, comment=_OTHER_STEP)] * -min(surplus, 0)
    times = iter(created)
    for number, entry in enumerate(fitted):
        moment = "" if entry.empty_layer else next(times)
        if moment and not entry.created:
            fitted[number] = attrs.evolve(entry, created=moment)
    return tuple(_with_times(fitted))


def _with_times(entries: Sequence[History]) -> Iterator[History]:
    gap = next((number for number, entry in enumerate(entries) if not entry.created), len(entries))
    known = [entry.created for entry in entries if entry.created]
    following = next((entry.created for entry in entries[gap:] if entry.created), "")
    moment = following or (known[-1] if known else "")
    for number, entry in enumerate(entries):
        if entry.created and number > gap:
            moment = entry.created
        yield entry if entry.created else attrs.evolve(entry, created=moment)


def _own_history(entries: Sequence[History], created: Sequence[str]) -> list[History]:
    """One entry per layer. A merge makes several layers, and a step that only hands others' layers on makes none."""
    fitted = list(entries)
    while len(fitted) < len(created):
        merge = next((number for number, entry in enumerate(fitted) if entry.created_by.startswith("merge")), 0)
        fitted.insert(merge, fitted[merge] if fitted else History(created_by=_OTHER_STEP, comment=_OTHER_STEP))
    surplus = len(fitted) - len(created)
    times = iter(created)
    history: list[History] = []
    for entry in fitted:
        if surplus and entry.created_by.startswith(("merge", "diff", "passthrough")):
            surplus -= 1
            continue
        moment = next(times, None)
        if moment is not None:
            history.append(attrs.evolve(entry, created=moment))
    return history


def typed(descriptor: Descriptor, *, oci: bool) -> Descriptor:
    """A layer with the media type that it has in OCI's documents, or in Docker's."""
    table = _OCI_TYPES if oci else _DOCKER_TYPES
    return attrs.evolve(descriptor, media_type=table.get(descriptor.media_type, descriptor.media_type))


def _time(seconds: float, epoch: int | None) -> str:
    """A moment as RFC 3339, in UTC with microseconds as far as there are any."""
    moment = datetime.fromtimestamp(seconds if epoch is None else epoch, UTC)
    return moment.isoformat().replace("+00:00", "Z")
