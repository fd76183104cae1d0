"""Writing caches: what a build knows of its steps, in BuildKit's format. Mirrors its cache/remotecache/export.go.

A result is written as the blobs of its layers, each only where the place lacks it. A result that the build itself only
knows from an imported cache is passed on: its blobs travel when they have to, and never become snapshots.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import BinaryIO, Final, TypeAlias

import attrs

from pybuild.digest import Digest, sha256
from pybuild.exporter.image import typed
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor, as_json
from pybuild.remotecache.config import (
    MEDIA_TYPE,
    CacheConfig,
    Link,
    Record,
    StoredResult,
    dump_config,
    dump_records,
    rfc3339,
)
from pybuild.remotecache.imports import RemoteResult
from pybuild.remotecache.place import CachePlace
from pybuild.remotecache.reading import CREATED_AT, DIFF_ID
from pybuild.source.unpack import chain_ids, snapshot_name
from pybuild.store.layers import LayerForm, layer_of
from pybuild.store.store import Store

_PARALLEL: Final = 4
PlaceOf: TypeAlias = Callable[[RemoteResult], CachePlace]
"""Where an imported result's blobs are."""


@attrs.frozen(kw_only=True)
class KnownStep:
    """One output of a step, or a source: its record without results, and the result that there is of it.

    Args:
        digest: of the record.
        inputs: of the record; positions are those in the sequence of known steps.
        snapshot: the stored result; "" when there is none.
        created: when it was made, in seconds since the epoch.
        remote: the result in an imported cache, where the store has none.
    """

    digest: str
    inputs: tuple[tuple[Link, ...], ...] = ()
    snapshot: str = ""
    created: float = 0.0
    remote: RemoteResult | None = None


@attrs.frozen(kw_only=True)
class CacheForm:
    """How a cache is stored: its layers, OCI media types or Docker's, and an image manifest or an index around it."""

    layers: LayerForm
    oci: bool = True
    image_manifest: bool = True


@attrs.frozen(kw_only=True)
class _Blob:
    """A layer to be written, with the annotations that a cache needs, and what opens it."""

    descriptor: Descriptor
    opened: Callable[[], BinaryIO]


def write_cache(
    store: Store,
    steps: Sequence[KnownStep],
    place: CachePlace,
    form: CacheForm,
    place_of: PlaceOf,
    report: Callable[[str], None],
) -> int:
    """Write a cache.

    Args:
        store: where stored results are.
        steps: what to write.
        place: where to.
        form: how.
        place_of: where imported results are.
        report: takes one-line progress.

    Returns:
        The number of blobs that travelled.

    Raises:
        ExportError: it cannot be written.
        SourceFetchError, StoreError: an imported result that is to be passed on cannot be had.
    """
    with store.leases.lease() as lease:
        table = _Table(store, form, place_of, partial(lease.add, "content"))
        chains = [table.chain(step) for step in steps]
        config = _with_results(steps, [[blob.descriptor.digest for blob in chain] for chain in chains])
        blobs = {blob.descriptor.digest: blob for chain in chains for blob in chain}
        report(f"writing {len(blobs)} layers")
        travelled = _write_all(place, list(blobs.values()))
    data = dump_config(config)
    described = Descriptor(media_type=MEDIA_TYPE, digest=sha256(data), size=len(data))
    place.write(described, partial(io.BytesIO, data))
    manifest, media_type = _manifest(described, [blob.descriptor for blob in blobs.values()], form)
    place.write_manifest(Descriptor(media_type=media_type, digest=sha256(manifest), size=len(manifest)), manifest)
    return travelled


def inline_records(store: Store, steps: Sequence[KnownStep], snapshots: Sequence[str]) -> bytes:
    """The records of an inline cache.

    Args:
        store: where stored results are.
        steps: what is known.
        snapshots: the layers of the image, bottom first.
    """
    config = _with_results(steps, [[Digest(name) for name in chain_of(store, step)] for step in steps])
    return dump_records(config, [Digest(name) for name in snapshots])


def within(store: Store, steps: Iterable[KnownStep], snapshots: Iterable[str]) -> list[KnownStep]:
    """The steps with those results alone that consist of the first layers of a snapshot: the mode `min`."""
    stacks = [store.snapshots.parents(snapshot) for snapshot in snapshots if snapshot]
    kept: list[KnownStep] = []
    for step in steps:
        chain = chain_of(store, step)
        first = not chain or any(chain == layers[: len(chain)] for layers in stacks)
        kept.append(step if first else attrs.evolve(step, snapshot="", remote=None))
    return kept


def chain_of(store: Store, step: KnownStep) -> tuple[str, ...]:
    """The snapshots that the result consists of, or would, once it was brought in; bottom first."""
    if step.snapshot:
        return tuple(store.snapshots.parents(step.snapshot))
    layers = step.remote.layers if step.remote is not None else ()
    return tuple(snapshot_name(chain_id) for chain_id in chain_ids([layer.diff_id for layer in layers]))


def _with_results(steps: Sequence[KnownStep], chains: Sequence[Sequence[Digest]]) -> CacheConfig:
    records: list[Record] = []
    for step, chain in zip(steps, chains, strict=True):
        created = step.remote.created if step.remote is not None else step.created
        results = (StoredResult(blobs=tuple(chain), created=created),) if chain else ()
        records.append(Record(digest=step.digest, inputs=step.inputs, results=results))
    return CacheConfig(records=tuple(records))


class _Table:
    """The blobs of results, each made or described once."""

    def __init__(self, store: Store, form: CacheForm, place_of: PlaceOf, hold: Callable[[str], None]) -> None:
        self._store = store
        self._form = form
        self._place_of = place_of
        self._hold = hold
        self._known: dict[str, _Blob] = {}

    def chain(self, step: KnownStep) -> list[_Blob]:
        """The blobs of a step's result, bottom first."""
        if step.snapshot:
            return [self._stored(key) for key in self._store.snapshots.parents(step.snapshot)]
        return [] if step.remote is None else self._remote(step.remote)

    def _stored(self, key: str) -> _Blob:
        found = self._known.get(key)
        if found is None:
            layer = layer_of(self._store, key, self._form.layers, self._hold)
            created = self._store.snapshots.stat(key).created
            descriptor = self._described(layer.descriptor, layer.diff_id, created)
            found = _Blob(descriptor=descriptor, opened=partial(self._store.content.checked, descriptor.digest))
            self._known[key] = found
        return found

    def _remote(self, result: RemoteResult) -> list[_Blob]:
        place = self._place_of(result)

        def opened(descriptor: Descriptor) -> BinaryIO:
            self._hold(descriptor.digest)
            place.bring(self._store, descriptor)
            return self._store.content.checked(descriptor.digest)

        return [
            _Blob(
                descriptor=self._described(layer.descriptor, layer.diff_id, result.created),
                opened=partial(opened, layer.descriptor),
            )
            for layer in result.layers
        ]

    def _described(self, descriptor: Descriptor, diff_id: Digest, created: float) -> Descriptor:
        annotations = ((CREATED_AT, rfc3339(created)), (DIFF_ID, diff_id))
        return attrs.evolve(typed(descriptor, oci=self._form.oci), annotations=annotations)


def _write_all(place: CachePlace, blobs: Sequence[_Blob]) -> int:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="cache") as pool:
        sent = [pool.submit(place.write, blob.descriptor, blob.opened) for blob in blobs]
        return sum(future.result() for future in sent)


def _manifest(config: Descriptor, layers: Sequence[Descriptor], form: CacheForm) -> tuple[bytes, str]:
    """The document that names all blobs, and its media type."""
    entries = [as_json(layer) for layer in layers]
    document: dict[str, object] = {"schemaVersion": 2}
    if form.image_manifest:
        media_type = mediatypes.OCI_MANIFEST
        document |= {"mediaType": media_type, "config": as_json(config), "layers": entries}
    else:
        media_type = mediatypes.OCI_INDEX if form.oci else mediatypes.DOCKER_INDEX
        document |= {"mediaType": media_type, "manifests": [*entries, as_json(config)]}
    return json.dumps(document, separators=(",", ":")).encode(), media_type
