"""A client of BuildKit, usable without the rest of pybuild, and the engine on top of it.

`connect` gives a `Client`: it builds definitions and frontends, serves files, secrets and credentials while a build
goes on, and offers the rest of the control API. Needs the extra `pybuild[buildkit]`. docs/buildkit.md is its guide.

Example:
    >>> from pybuild.engine.buildkit import Export, connect
    >>> with connect("docker://") as client:  # doctest: +SKIP
    ...     client.build(
    ...         frontend="dockerfile.v0",
    ...         local_dirs={"context": ".", "dockerfile": "."},
    ...         exports=[Export("local", dest="out")],
    ...     )
    {}
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; the engine is looked at long before it is used
if TYPE_CHECKING:
    from pybuild.engine.buildkit.address import Address, Tls, parse_address
    from pybuild.engine.buildkit.build import CacheEntry
    from pybuild.engine.buildkit.client import CacheRecord, Client, Worker, connect
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.buildkit.export import Export
    from pybuild.engine.buildkit.gateway import Gateway, Result
    from pybuild.engine.buildkit.nodes import SeveralNodes
    from pybuild.engine.buildkit.services.filesync import LocalDir
    from pybuild.engine.buildkit.services.upload import Uploads

_HOME = {
    "address": ("Address", "Tls", "parse_address"),
    "build": ("CacheEntry",),
    "client": ("CacheRecord", "Client", "Worker", "connect"),
    "engine": ("BuildKitEngine",),
    "export": ("Export",),
    "gateway": ("Gateway", "Result"),
    "nodes": ("SeveralNodes",),
    "services.filesync": ("LocalDir",),
    "services.upload": ("Uploads",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Address",
    "BuildKitEngine",
    "CacheEntry",
    "CacheRecord",
    "Client",
    "Export",
    "Gateway",
    "LocalDir",
    "Result",
    "SeveralNodes",
    "Tls",
    "Uploads",
    "Worker",
    "connect",
    "parse_address",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
