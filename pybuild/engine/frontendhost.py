"""What the embedded engine does for a frontend: looks images up, and reads files of contexts.

A local directory is read where it is; every other context is solved first and read from its snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pybuild.errors import SourceFetchError
from pybuild.frontend.protocols import FrontendImage
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.platform import Platform, host_platform
from pybuild.protocols import ProgressSink, Session, SolveRequest, SourceMetadata
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree

if TYPE_CHECKING:
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.solver.sources import SourceSet

CAPABILITIES: Final = frozenset(
    {
        "exec.meta.cgroup.parent",
        "exec.meta.linux.resources",
        "exec.meta.setsdefaultpath",
        "exec.meta.ulimit",
        "exec.mount.bind.readwrite-nooutput",
        "exec.mount.tmpfs.size",
        "mergeop",
    }
)
"""What frontends ask about, as far as this engine does it."""


class EmbeddedHost:
    """See frontend.protocols.FrontendHost.

    Args:
        engine: solves contexts that must be read.
        session: the client's; offers the local directories and layouts that the options name.
        sink: receives the progress of what has to be solved.
        inputs: results that the frontend is handed, by name.
    """

    def __init__(
        self,
        engine: EmbeddedEngine,
        session: Session,
        sink: ProgressSink,
        *,
        inputs: Mapping[str, Edge | None] | None = None,
    ) -> None:
        self.build_platform: Platform = host_platform()
        self.capabilities = CAPABILITIES
        self.session_id = ""
        self._engine = engine
        self._session = session
        self._sink = sink
        self._inputs = dict(inputs or {})
        self._sources: SourceSet | None = None

    def resolve_image(self, image: Edge | None) -> FrontendImage:
        """See frontend.protocols.FrontendHost."""
        assert image is not None
        vertex = image.vertex
        assert isinstance(vertex.op, SourceOp)
        found = self.resolve(vertex, vertex.constraints.platform or self.build_platform)
        reference = vertex.op.reference
        if vertex.op.scheme == "oci-layout":  # names a digest, which is not part of the name
            reference = reference.partition("@")[0]
        return FrontendImage(reference=reference, digest=found.digest or "", config=found.document)

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See protocols.MetadataResolver."""
        return self._source_set().resolve(vertex, platform)

    def source_time(self, source: Edge) -> int | None:
        """See frontend.protocols.FrontendHost: the newest file of what was fetched."""
        tree = self._solved(source)
        times = [int(entry.stat.st_mtime) for entry in tree.walk() if not entry.is_dir]
        return max(times, default=None)

    def tree(self, head: Edge) -> HostTree:
        """See frontend.protocols.FrontendHost."""
        op = head.vertex.op
        if isinstance(op, SourceOp) and op.scheme == "local":
            return HostTree(LayeredTree([self._session.local_dir(op.reference)]))
        return HostTree(self._solved(head))

    def input(self, name: str) -> Edge | None:
        """See frontend.protocols.FrontendHost."""
        return self._inputs.get(name)

    def definition_of(self, head: Edge) -> bytes:
        """See frontend.protocols.FrontendHost: nobody reads it here."""
        return b""

    def _source_set(self) -> SourceSet:
        if self._sources is None:
            from pybuild.solver.sources import SourceSet

            self._sources = SourceSet(Store.open(self._engine.root), self._session)
        return self._sources

    def _solved(self, head: Edge) -> LayeredTree:
        request = SolveRequest(graph=Graph([head]), platform=self.build_platform, target="context")
        result = self._engine.run(request, self._session, self._sink)
        snapshots = Store.open(self._engine.root).snapshots
        return LayeredTree(snapshots.lowers(result.ref.snapshot) if result.ref.snapshot else ())


class HostTree:
    """See frontend.protocols.FrontendTree."""

    def __init__(self, tree: LayeredTree) -> None:
        self._tree = tree

    def read(self, path: str, *, limit: int = -1) -> bytes | None:
        """See frontend.protocols.FrontendTree. Raises SourceFetchError: it is there, and cannot be read."""
        entry = self._tree.lookup("/" + path.lstrip("/"))
        if entry is None or entry.is_dir:
            return None
        try:
            with open(entry.real, "rb") as file:
                return file.read(limit)
        except OSError as error:
            raise SourceFetchError(f'cannot read "{path}": {error.strerror}') from None
