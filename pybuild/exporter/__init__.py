"""Exporters: images in the store and in registries, OCI and Docker archives, directories and tar files, one file each.

To add one, write its class and put it into `_MAKERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pybuild.errors import ExportError
from pybuild.protocols import Exporter

if TYPE_CHECKING:
    from pybuild.store.store import Store

CredentialsFor = Callable[[str], "tuple[str, str] | None"]
"""User and password for a registry host, if there are any."""


def _oci(store: Store, _credentials: CredentialsFor) -> Exporter:
    from pybuild.exporter.oci import OciExporter

    return OciExporter(store, "oci")


def _docker(store: Store, _credentials: CredentialsFor) -> Exporter:
    from pybuild.exporter.docker import DockerExporter

    return DockerExporter(store)


def _local(store: Store, _credentials: CredentialsFor) -> Exporter:
    from pybuild.exporter.local import LocalExporter

    return LocalExporter(store)


def _tar(store: Store, _credentials: CredentialsFor) -> Exporter:
    from pybuild.exporter.tar import TarExporter

    return TarExporter(store)


def _image(store: Store, credentials: CredentialsFor) -> Exporter:
    from pybuild.exporter.imagestore import ImageExporter

    return ImageExporter(store, "image", credentials)


def _registry(store: Store, credentials: CredentialsFor) -> Exporter:
    from pybuild.exporter.imagestore import ImageExporter

    return ImageExporter(store, "registry", credentials)


def _cacheonly(_store: Store, _credentials: CredentialsFor) -> Exporter:
    from pybuild.exporter.cacheonly import CacheOnlyExporter

    return CacheOnlyExporter()


_MAKERS: dict[str, Callable[[Store, CredentialsFor], Exporter]] = {
    "cacheonly": _cacheonly,
    "docker": _docker,
    "image": _image,
    "local": _local,
    "oci": _oci,
    "registry": _registry,
    "tar": _tar,
}
TYPES = tuple(_MAKERS)
"""The types that `exporter_for` knows."""


def exporter_for(type_: str, store: Store, credentials: CredentialsFor) -> Exporter:
    """The exporter of a type.

    Args:
        type_: as in `--output type=...`.
        store: where results are.
        credentials: gives user and password for a registry host, for outputs that are pushed.

    Raises:
        ExportError: there is none of that type.
    """
    maker = _MAKERS.get(type_)
    if maker is None:
        raise ExportError(
            f'the embedded engine has no exporter of type "{type_}"', hint=f"there are: {', '.join(_MAKERS)}"
        )
    return maker(store, credentials)
