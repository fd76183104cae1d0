"""Images from a directory of the client that has the OCI image layout: `oci-layout://NAME`.

The directory is the one that the source names, or the one that the client offers under the name of its store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pybuild.errors import SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.layout import Layout
from pybuild.protocols import Session
from pybuild.source.image import Named
from pybuild.store.ingest import ingest
from pybuild.store.store import Store


class LayoutImages:
    """See source.image.Images.

    Args:
        store: whose content store takes the layers.
        session: knows directories by name.
    """

    def __init__(self, store: Store, session: Session) -> None:
        self._store = store
        self._session = session

    def find(self, vertex: Vertex) -> Named:
        """See source.image.Images."""
        assert isinstance(vertex.op, SourceOp)
        ref = vertex.op.reference
        candidates = self._layout(vertex).find(ref)
        if "@" in ref or len(candidates) > 1:
            return Named(identifier=vertex.op.identifier, candidates=tuple(candidates))
        return Named(identifier=f"{vertex.op.identifier}@{candidates[0].digest}", candidates=tuple(candidates))

    def read(self, vertex: Vertex, descriptor: Descriptor) -> bytes:
        """See source.image.Images."""
        return self._layout(vertex).read(descriptor)

    def bring(self, vertex: Vertex, descriptors: Sequence[Descriptor]) -> Sequence[Callable[[], None]]:
        """See source.image.Images: copies each blob when it is waited for."""
        layout = self._layout(vertex)
        return [partial(_copy, self._store, layout, descriptor) for descriptor in descriptors]

    def _layout(self, vertex: Vertex) -> Layout:
        if vertex.metadata.local_dir:
            return Layout(Path(vertex.metadata.local_dir))
        assert isinstance(vertex.op, SourceOp)
        name = dict(vertex.op.attrs).get("oci.store", "")
        if not name:
            raise SourceFetchError(f"{vertex.name}: the directory of the layout is not known")
        return Layout(self._session.local_dir(name))


def _copy(store: Store, layout: Layout, descriptor: Descriptor) -> None:
    ingest(store, layout.blob(descriptor.digest), descriptor)
