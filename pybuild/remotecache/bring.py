"""Bringing an imported result into the store: the blobs of the layers that it lacks, and their snapshots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pybuild.errors import CacheImportError, OutsideError, StoreError, StoreFull, UnsafeArchive
from pybuild.oci.descriptor import Descriptor
from pybuild.protocols import Ref
from pybuild.remotecache.imports import RemoteResult
from pybuild.remotecache.place import CachePlace, CredentialsFor, place_for
from pybuild.source.unpack import unpack
from pybuild.store.store import Store

_PARALLEL = 3


def bring_result(store: Store, result: RemoteResult, credentials: CredentialsFor, hold: Callable[[str], None]) -> Ref:
    """The tree of a result. Only what has the digests that were promised becomes a snapshot.

    Args:
        store: where it is unpacked.
        result: which.
        credentials: gives user and password for a registry host.
        hold: takes snapshots under the build's lease, before they are looked for.

    Raises:
        CacheImportError: a layer is not there, or is not what the cache says.
        StoreFull: no room.
    """
    place = place_for(result.spec, credentials)
    layers = [layer.descriptor for layer in result.layers]
    diff_ids = [layer.diff_id for layer in result.layers]
    try:
        return unpack(store, layers, diff_ids, partial(_bring, store, place), hold)
    except StoreFull:
        raise
    except (StoreError, OutsideError, UnsafeArchive, OSError) as error:
        message = getattr(error, "message", "") or str(error)
        raise CacheImportError(f"{result.spec}: {message}") from error


def _bring(store: Store, place: CachePlace, descriptors: Sequence[Descriptor]) -> Sequence[Callable[[], None]]:
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="import")
    futures = [pool.submit(place.bring, store, descriptor) for descriptor in descriptors]
    pool.shutdown(wait=False)
    return [partial(future.result, None) for future in futures]
