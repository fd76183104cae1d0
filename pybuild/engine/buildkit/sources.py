"""A graph's sources as an engine elsewhere can have them: looked up through the build's gateway, served by the session.

`GatewayResolver` gives the passes what they need to know of images, so that environment, user and working directory
are inherited exactly as on the embedded engine. `offered` collects the directories behind the graph's sources, and
gives layouts the names of the stores that serve them.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from pybuild.digest import Digest
from pybuild.engine.buildkit.services.filesync import LocalDir
from pybuild.errors import EngineError, PybuildError, SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.oci.imageconfig import parse_image_config
from pybuild.oci.layout import Layout
from pybuild.platform import Platform, best_match
from pybuild.protocols import Session, SourceMetadata
from pybuild.source.ignorefile import read_ignore_file

if TYPE_CHECKING:
    from pybuild.engine.buildkit.gateway import Gateway

_STORE = "oci.store"


class GatewayResolver:
    """See protocols.MetadataResolver: asks the engine of a running build. Thread-safe.

    Args:
        gateway: of the build.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
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
        try:
            if op.scheme == "oci-layout":
                reference = _pinned(vertex, op, platform)
                store = dict(op.attrs).get(_STORE, "") or store_name(vertex.metadata.local_dir)
                found = self._gateway.resolve_layout(reference, platform, store, log_name=f"[internal] {name}")
            else:
                mode = dict(op.attrs).get("image.resolvemode", "")
                found = self._gateway.resolve_image(op.reference, platform, mode=mode, log_name=f"[internal] {name}")
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


def store_name(directory: str) -> str:
    """The name of the store that serves the layout in a directory."""
    return hashlib.sha256(directory.encode()).hexdigest()[:16]


@attrs.define
class Offered:
    """What a session must offer for a graph: directories and layouts by name."""

    graph: Graph
    directories: dict[str, LocalDir] = attrs.field(factory=dict[str, LocalDir])
    layouts: dict[str, Path] = attrs.field(factory=dict[str, Path])


def offered(graph: Graph, session: Session) -> Offered:
    """Collect what the sources of a graph need of the client.

    Returns:
        The graph, in which no two directories have one name, with what must be offered for it.

    Raises:
        SourceFetchError: a directory has no path, or its ignore file cannot be read.
    """
    found = Offered(graph)

    def change(vertex: Vertex) -> Vertex:
        op = vertex.op
        if not isinstance(op, SourceOp) or op.scheme not in ("local", "oci-layout"):
            return vertex
        if op.scheme == "local":
            directory = vertex.metadata.local_dir or str(session.local_dir(op.reference))
            name = _free_name(found.directories, op.reference, directory)
            if name != op.reference:
                return vertex.replace(op=op.replace(identifier=f"local://{name}"))
            return vertex
        if not vertex.metadata.local_dir:
            raise SourceFetchError(f"{vertex.name}: the directory of the layout is not known").at(vertex.locations)
        store = store_name(vertex.metadata.local_dir)
        found.layouts[store] = Path(vertex.metadata.local_dir)
        return vertex.replace(op=op.replace(attrs=tuple(sorted({**dict(op.attrs), _STORE: store}.items()))))

    found.graph = rewrite(graph, change)
    return found


def _free_name(directories: dict[str, LocalDir], name: str, directory: str) -> str:
    """`name`, or one like it when that is another directory's."""
    wanted, number = name, 1
    while wanted in directories and str(directories[wanted].path) != directory:
        number += 1
        wanted = f"{name}#{number}"
    if wanted not in directories:
        path = Path(directory)
        directories[wanted] = LocalDir(path=path, exclude=tuple(read_ignore_file(path)))
    return wanted
