"""What the passes must know of a graph's sources, looked up through the build's gateway.

`GatewayResolver` gives the passes what they need to know of images, so that environment, user and working directory
are inherited exactly as on the embedded engine.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.digest import Digest
from pybuild.engine.offered import STORE, store_name
from pybuild.errors import CapabilityError, EngineError, PybuildError, SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.oci.imageconfig import parse_image_config
from pybuild.oci.layout import Layout
from pybuild.oci.reference import parse_named
from pybuild.platform import Platform, best_match
from pybuild.protocols import Session, SourceMetadata
from pybuild.temporary import TemporaryFolder

if TYPE_CHECKING:
    from pybuild.engine.buildkit.gateway import Gateway

_LOOKUPS: Final = {"source.metaresolver", "resolveimage"}


class GatewayResolver:
    """See protocols.MetadataResolver: asks the engine of a running build, or from here where it cannot. Thread-safe.

    Args:
        gateway: of the build.
        session: has the credentials for registries that must be asked from here.
    """

    def __init__(self, gateway: Gateway, session: Session) -> None:
        self._gateway = gateway
        self._session = session
        self._known: dict[tuple[str, Platform], SourceMetadata] = {}
        self._lock = threading.Lock()

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See protocols.MetadataResolver."""
        assert isinstance(vertex.op, SourceOp)
        key = (vertex.digest, platform)
        with self._lock:
            if key not in self._known:
                self._known[key] = self._look_up(vertex, vertex.op, platform)
            return self._known[key]

    def _look_up(self, vertex: Vertex, op: SourceOp, platform: Platform) -> SourceMetadata:
        if op.scheme not in ("docker-image", "oci-layout"):
            return SourceMetadata(identifier=op.identifier)
        name = f"load metadata for {op.reference}"
        if not self._gateway.capabilities & _LOOKUPS:
            return self._from_here(vertex, platform)
        try:
            if op.scheme == "oci-layout":
                reference = _pinned(vertex, op, platform)
                store = dict(op.attrs).get(STORE, "") or store_name(vertex.metadata.local_dir)
                found = self._gateway.resolve_layout(reference, platform, store, log_name=f"[internal] {name}")
            else:
                mode = dict(op.attrs).get("image.resolvemode", "")
                found = self._gateway.resolve_image(op.reference, platform, mode=mode, log_name=f"[internal] {name}")
        except CapabilityError:
            return self._from_here(vertex, platform)
        except EngineError as error:
            if error.code == "engine-unavailable":
                raise
            raise SourceFetchError(f"cannot {name}: {error.message}").at(vertex.locations) from error
        except PybuildError as error:
            raise error.at(vertex.locations) from None
        reference = found.reference
        if "@" not in reference and found.digest:
            reference = f"{reference}@{found.digest}"
        return SourceMetadata(
            identifier=f"{op.scheme}://{reference}",
            digest=None if not found.digest else Digest(found.digest),
            config=parse_image_config(found.config),
        )

    def _from_here(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """What the registry, or the layout, says to this client. The image itself is not fetched."""
        from pybuild.solver.sources import SourceSet
        from pybuild.store.store import Store

        with TemporaryFolder() as folder:
            found = SourceSet(Store.open(Path(folder)), self._session, platform).resolve(vertex, platform)
        scheme, _, reference = found.identifier.partition("://")  # engines take complete references only
        return attrs.evolve(found, identifier=f"{scheme}://{parse_named(reference)}")


def _pinned(vertex: Vertex, op: SourceOp, platform: Platform) -> str:
    """The reference of a layout's image with its digest."""
    if "@" in op.reference:
        return op.reference
    candidates = Layout(Path(vertex.metadata.local_dir)).find(op.reference)
    chosen = candidates[0]
    if len(candidates) > 1:
        platforms = [candidate.platform or platform for candidate in candidates]
        best = best_match(platform, platforms)
        if best is None:
            raise SourceFetchError(f"{vertex.name} has no image for {platform}")
        chosen = candidates[best]
    return f"{op.reference}@{chosen.digest}"
