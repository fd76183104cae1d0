"""Blobs of registries on their way into the content store."""

from __future__ import annotations

from pybuild.oci.descriptor import Descriptor
from pybuild.oci.reference import Reference
from pybuild.registry.client import RegistryClient
from pybuild.store.ingest import holds
from pybuild.store.store import Store


def download(store: Store, client: RegistryClient, reference: Reference, descriptor: Descriptor) -> None:
    """Have a blob in the store; of several processes that want it, one downloads it.

    Args:
        store: whose content store takes it.
        client: of the reference's registry.
        reference: an image of the repository that has the blob.
        descriptor: which.

    Raises:
        SourceFetchError: it cannot be had.
        DigestMismatch: it is not what the descriptor says.
        StoreFull: no room for it.
    """
    with store.locks.exclusive(f"blob:{descriptor.digest}"):
        if holds(store, descriptor.digest):
            return
        with store.content.writer(digest=descriptor.digest, size=descriptor.size) as blob:
            client.blob(reference, descriptor, blob)
            blob.commit()
