"""Where caches are: what reading and writing one needs of a directory or a registry.

To add a kind of place, write its class and put it into `_MAKERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, Protocol, TypeAlias

from pybuild.errors import CapabilityError
from pybuild.oci.descriptor import Descriptor
from pybuild.protocols import CacheSpec
from pybuild.store.store import Store

CredentialsFor: TypeAlias = Callable[[str], "tuple[str, str] | None"]
"""User and password for a registry host, if there are any."""
Open: TypeAlias = Callable[[], BinaryIO]


class CachePlace(Protocol):
    """A place that holds a cache. Reading and writing may be used from several threads."""

    def manifest(self) -> tuple[bytes, str]:
        """The cache's manifest or index, and the media type that the place says it has.

        Raises:
            SourceFetchError, StoreError, DefinitionError: it cannot be had.
        """
        ...

    def read(self, descriptor: Descriptor) -> bytes:
        """A small blob, or a manifest, verified. Raises as `manifest`."""
        ...

    def bring(self, store: Store, descriptor: Descriptor) -> None:
        """Have a blob in the content store, verified. Raises as `manifest`."""
        ...

    def write(self, descriptor: Descriptor, opened: Open) -> bool:
        """Write a blob whose bytes `opened` gives, unless it is there; returns whether its bytes travelled.

        Raises:
            ExportError: it cannot be written.
        """
        ...

    def write_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        """Write the manifest, after all blobs, under the cache's name. Raises ExportError."""
        ...


def _local(spec: CacheSpec, _credentials: CredentialsFor, _mount_from: Sequence[str]) -> CachePlace:
    from pybuild.remotecache.local import LocalPlace

    return LocalPlace(spec)


def _registry(spec: CacheSpec, credentials: CredentialsFor, mount_from: Sequence[str]) -> CachePlace:
    from pybuild.remotecache.registry import RegistryPlace

    return RegistryPlace(spec, credentials, mount_from)


_MAKERS: Mapping[str, Callable[[CacheSpec, CredentialsFor, Sequence[str]], CachePlace]] = {
    "local": _local,
    "registry": _registry,
}


def place_for(spec: CacheSpec, credentials: CredentialsFor, mount_from: Sequence[str] = ()) -> CachePlace:
    """The place that a cache is in, or shall be written to.

    Args:
        spec: which.
        credentials: gives user and password for a registry host.
        mount_from: references of images whose registries have layers of them already.

    Raises:
        CapabilityError: there are no caches of that type.
    """
    maker = _MAKERS.get(spec.type)
    if maker is None:
        raise CapabilityError(
            f'the embedded engine has no caches of type "{spec.type}"', hint=f"there are: {', '.join(_MAKERS)}, inline"
        )
    return maker(spec, credentials, mount_from)
