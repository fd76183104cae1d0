"""Blobs from files on their way into the content store."""

from __future__ import annotations

from pathlib import Path

from pybuild.digest import Digest
from pybuild.errors import NotFound
from pybuild.oci.descriptor import Descriptor
from pybuild.store.store import Store

_CHUNK = 1 << 20


def holds(store: Store, digest: Digest) -> bool:
    """Whether a store has a blob."""
    try:
        store.content.info(digest)
    except NotFound:
        return False
    return True


def ingest(store: Store, path: Path, descriptor: Descriptor) -> None:
    """Copy a file into the store, unless it has the blob.

    Args:
        store: whose content store takes it.
        path: the file.
        descriptor: what it must turn out to be.

    Raises:
        DigestMismatch: it is something else.
        StoreFull: no room for it.
    """
    if holds(store, descriptor.digest):
        return
    with (
        path.open("rb") as source,
        store.content.writer(digest=descriptor.digest, size=descriptor.size) as blob,
    ):
        while data := source.read(_CHUNK):
            blob.write(data)
        blob.commit()
