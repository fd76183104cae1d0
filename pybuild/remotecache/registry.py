"""Caches in a registry: a manifest under the name that the user gives, its layers beside those of images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pybuild.exporter.attributes import Attributes
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.reference import parse_reference
from pybuild.protocols import CacheSpec
from pybuild.registry.download import download
from pybuild.remotecache.place import CredentialsFor, Open
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.registry.client import RegistryClient
    from pybuild.registry.push import RegistryWriter


class RegistryPlace:
    """See place.CachePlace.

    Args:
        spec: `ref` names the cache; `registry.insecure` is as for images that are pushed.
        credentials: gives user and password for a registry host.
        mount_from: references of images whose registries have layers of them already.
    """

    def __init__(self, spec: CacheSpec, credentials: CredentialsFor, mount_from: Sequence[str] = ()) -> None:
        self._reference = parse_reference(dict(spec.attrs)["ref"])
        self._insecure = Attributes(spec, ()).flag("registry.insecure", default=False)
        self._credentials = credentials
        self._mount_from = mount_from

    @cached_property
    def _client(self) -> RegistryClient:
        from pybuild.registry.client import RegistryClient

        domain = self._reference.domain
        return RegistryClient(domain, lambda: self._credentials(domain), insecure=self._insecure)

    @cached_property
    def _writer(self) -> RegistryWriter:
        from pybuild.registry.push import RegistryWriter

        domain = self._reference.domain
        same = [parse_reference(name) for name in self._mount_from]
        return RegistryWriter(
            self._reference,
            lambda: self._credentials(domain),
            insecure=self._insecure,
            mount_from=list(dict.fromkeys(other.path for other in same if other.domain == domain)),
        )

    def manifest(self) -> tuple[bytes, str]:
        """See place.CachePlace."""
        found = self._client.manifest(self._reference)
        return found.data, found.descriptor.media_type

    def read(self, descriptor: Descriptor) -> bytes:
        """See place.CachePlace."""
        if descriptor.media_type in mediatypes.MANIFESTS | mediatypes.INDEXES:
            return self._client.manifest(self._reference.pinned(descriptor.digest)).data
        sink = io.BytesIO()
        self._client.blob(self._reference, descriptor, sink)
        return sink.getvalue()

    def bring(self, store: Store, descriptor: Descriptor) -> None:
        """See place.CachePlace."""
        download(store, self._client, self._reference, descriptor)

    def write(self, descriptor: Descriptor, opened: Open) -> bool:
        """See place.CachePlace."""
        return self._writer.blob(descriptor, opened)

    def write_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """See place.CachePlace."""
        self._writer.manifest(descriptor, data, self._reference.tag)
