"""Images from registries: `docker-image://NAME`.

A reference with a digest whose manifest is in the store needs no network at all. A tag is looked up each time unless
the build asks for what is there (`pull="never"`); what it stood for last is remembered for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pybuild.digest import Digest
from pybuild.errors import DigestMismatch, NotFound, SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.reference import Reference, parse_reference
from pybuild.protocols import Session
from pybuild.source.image import Named
from pybuild.store.database import Database
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.registry.client import RegistryClient

_PARALLEL = 3
_SCHEMA = """
CREATE TABLE IF NOT EXISTS image_refs (
    reference TEXT PRIMARY KEY, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL
) WITHOUT ROWID;
"""


class RegistryImages:
    """See source.image.Images. Thread-safe.

    Args:
        store: whose content store takes manifests and layers.
        session: knows the user's credentials.
    """

    def __init__(self, store: Store, session: Session) -> None:
        self._store = store
        self._session = session
        self._clients: dict[str, RegistryClient] = {}
        self._lock = threading.Lock()

    def find(self, vertex: Vertex) -> Named:
        """See source.image.Images."""
        assert isinstance(vertex.op, SourceOp)
        reference = _reference(vertex)
        mode = dict(vertex.op.attrs).get("image.resolvemode", "")
        descriptor = self._known(reference) if reference.digest or mode == "local" else None
        if descriptor is None:
            if mode == "local" and not reference.digest:
                raise SourceFetchError(
                    f"{reference.familiar} is not in the store, and pull is never", hint="pull it once with the default"
                )
            descriptor = self._look_up(reference)
        pinned = reference.pinned(descriptor.digest)
        return Named(identifier=f"docker-image://{pinned}", candidates=(descriptor,))

    def read(self, vertex: Vertex, descriptor: Descriptor) -> bytes:
        """See source.image.Images: from the store when it is there."""
        try:
            return self._store.content.read(descriptor.digest)
        except (NotFound, DigestMismatch):
            pass
        reference = _reference(vertex)
        client = self._client(reference.domain)
        if descriptor.media_type.endswith(("manifest.v1+json", "index.v1+json", "manifest.v2+json", "list.v2+json")):
            data = client.manifest(reference.pinned(descriptor.digest)).data
            self._keep(descriptor, data)
            return data
        with self._store.content.writer(digest=descriptor.digest, size=descriptor.size) as blob:
            client.blob(reference, descriptor, blob)
            blob.commit()
        return self._store.content.read(descriptor.digest)

    def bring(self, vertex: Vertex, descriptors: Sequence[Descriptor]) -> Sequence[Callable[[], None]]:
        """See source.image.Images: a few downloads at once, in order."""
        from concurrent.futures import ThreadPoolExecutor

        reference = _reference(vertex)
        pool = ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="pull")
        futures = [pool.submit(self._download, reference, descriptor) for descriptor in descriptors]
        pool.shutdown(wait=False)
        return [partial(future.result, None) for future in futures]

    def _download(self, reference: Reference, descriptor: Descriptor) -> None:
        from pybuild.registry.download import download

        download(self._store, self._client(reference.domain), reference, descriptor)

    def _look_up(self, reference: Reference) -> Descriptor:
        client = self._client(reference.domain)
        digest = reference.digest or client.digest(reference)
        if digest is not None:
            known = self._known(reference.pinned(digest))
            if known is not None:
                self._remember(reference, known)
                return known
        fetched = client.manifest(reference if digest is None else reference.pinned(digest))
        self._keep(fetched.descriptor, fetched.data)
        self._remember(reference, fetched.descriptor)
        return fetched.descriptor

    def _keep(self, descriptor: Descriptor, data: bytes) -> None:
        with self._store.content.writer(digest=descriptor.digest) as blob:
            blob.write(data)
            blob.commit()

    # ------------------------------------------------------------------------------- remembered references

    @property
    def _database(self) -> Database:
        self._store.database.ensure(_SCHEMA)
        return self._store.database

    def _remember(self, reference: Reference, descriptor: Descriptor) -> None:
        rows = {str(reference), f"{reference.name}@{descriptor.digest}"}
        values = (descriptor.digest, descriptor.media_type, descriptor.size)
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO image_refs VALUES (?, ?, ?, ?)", [(row, *values) for row in sorted(rows)]
            )

    def _known(self, reference: Reference) -> Descriptor | None:
        """What is remembered of a reference, when its manifest is still in the store."""
        key = f"{reference.name}@{reference.digest}" if reference.digest else str(reference)
        row = self._database.connection.execute(
            "SELECT digest, media_type, size FROM image_refs WHERE reference = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        try:
            self._store.content.info(Digest(row[0]))
        except NotFound:
            return None
        return Descriptor(media_type=str(row[1]), digest=Digest(row[0]), size=int(row[2]))

    def _client(self, domain: str) -> RegistryClient:
        from pybuild.registry.client import RegistryClient

        with self._lock:
            if domain not in self._clients:
                self._clients[domain] = RegistryClient(domain, lambda: self._session.credentials(domain))
            return self._clients[domain]


def _reference(vertex: Vertex) -> Reference:
    assert isinstance(vertex.op, SourceOp)
    return parse_reference(vertex.op.reference)
