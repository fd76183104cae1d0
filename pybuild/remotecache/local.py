"""Caches in a directory: an OCI image layout, with the cache's manifest under a tag (`latest` unless it is given)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from pybuild.digest import Digest
from pybuild.errors import ExportError, NotFound
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.layout import REF_NAME, Layout
from pybuild.oci.layoutwriter import LayoutWriter
from pybuild.protocols import CacheSpec
from pybuild.remotecache.place import Open
from pybuild.store.ingest import ingest
from pybuild.store.store import Store


class LocalPlace:
    """See place.CachePlace.

    Args:
        spec: `src` or `dest` is the directory; `tag`, or `digest` of the manifest, says which cache in it.
    """

    def __init__(self, spec: CacheSpec) -> None:
        given = dict(spec.attrs)
        self._path = Path(given.get("src") or given["dest"])
        self._tag = given.get("tag") or "latest"
        self._digest = given.get("digest", "")
        self._layout = Layout(self._path)

    def manifest(self) -> tuple[bytes, str]:
        """See place.CachePlace."""
        found = self._find()
        return self.read(found), found.media_type

    def _find(self) -> Descriptor:
        if self._digest:
            path = self._layout.blob(Digest(self._digest))
            return Descriptor(media_type="", digest=Digest(self._digest), size=path.stat().st_size)
        for entry in self._layout.index().manifests:
            if dict(entry.annotations).get(REF_NAME) == self._tag:
                return entry
        raise NotFound(f'there is no cache "{self._tag}" in "{self._path}"')

    def read(self, descriptor: Descriptor) -> bytes:
        """See place.CachePlace."""
        return self._layout.read(descriptor)

    def bring(self, store: Store, descriptor: Descriptor) -> None:
        """See place.CachePlace."""
        ingest(store, self._layout.blob(descriptor.digest), descriptor)

    def write(self, descriptor: Descriptor, opened: Open) -> bool:
        """See place.CachePlace."""
        with self._reporting():
            if self._writer.has(descriptor.digest):
                return False
            with opened() as source:
                self._writer.copy(descriptor.digest, source)
            return True

    def write_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """See place.CachePlace."""
        entry = {
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest,
            "size": descriptor.size,
            "annotations": {REF_NAME: self._tag},
        }
        with self._reporting():
            self._writer.put(descriptor.digest, data)
            self._writer.name(entry)

    @cached_property
    def _writer(self) -> LayoutWriter:
        return LayoutWriter(self._path)

    @contextmanager
    def _reporting(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise ExportError(f'cannot write the cache "{self._path}": {error.strerror or error}') from error
        except ValueError as error:
            raise ExportError(str(error)) from error
