"""Exporters: OCI and Docker archives, directories and tar files, one file each.

To add one, write its class and put it into `_MAKERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pybuild.errors import ExportError
from pybuild.protocols import Exporter

if TYPE_CHECKING:
    from pybuild.store.store import Store


def _oci(store: Store) -> Exporter:
    from pybuild.exporter.oci import OciExporter

    return OciExporter(store, "oci")


def _docker(store: Store) -> Exporter:
    from pybuild.exporter.oci import OciExporter

    return OciExporter(store, "docker")


def _local(store: Store) -> Exporter:
    from pybuild.exporter.local import LocalExporter

    return LocalExporter(store)


def _tar(store: Store) -> Exporter:
    from pybuild.exporter.tar import TarExporter

    return TarExporter(store)


def _cacheonly(_store: Store) -> Exporter:
    from pybuild.exporter.cacheonly import CacheOnlyExporter

    return CacheOnlyExporter()


_MAKERS: dict[str, Callable[[Store], Exporter]] = {
    "cacheonly": _cacheonly,
    "docker": _docker,
    "local": _local,
    "oci": _oci,
    "tar": _tar,
}
TYPES = tuple(_MAKERS)
"""The types that `exporter_for` knows."""


def exporter_for(type_: str, store: Store) -> Exporter:
    """The exporter of a type.

    Args:
        type_: as in `--output type=...`.
        store: where results are.

    Raises:
        ExportError: there is none of that type.
    """
    maker = _MAKERS.get(type_)
    if maker is None:
        hint = f"there are: {', '.join(_MAKERS)}"
        if type_ in ("image", "registry"):
            hint = 'write an archive with type=oci,dest=FILE and push it with a tool such as "skopeo copy"'
        raise ExportError(f'the embedded engine has no exporter of type "{type_}"', hint=hint)
    return maker(store)
