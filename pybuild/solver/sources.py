"""All sources of a build behind one face: which one a vertex belongs to is its identifier's scheme.

The planner asks for keys and contents, the runner fetches, the passes look images up. To add a source, put its scheme
into `_MAKERS`. Mirrors BuildKit's source.Manager.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Protocol, TypeVar

from pybuild.errors import CapabilityError, PybuildError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.platform import Platform, host_platform
from pybuild.protocols import Ref, Session, SourceMetadata
from pybuild.solver.cachemap import Selection
from pybuild.solver.contents import Hash, content_key, picked
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree

Hold = Callable[[str], None]
"""Takes the key of a snapshot under the build's lease; called before it is looked for."""


class Source(Protocol):
    """One kind of source."""

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """What is known of it without fetching it. Raises SourceFetchError."""
        ...

    def key(self, vertex: Vertex, platform: Platform) -> str:
        """Its cache key. Raises SourceFetchError."""
        ...

    def tree(self, vertex: Vertex, platform: Platform) -> tuple[LayeredTree, Hash] | None:
        """Its tree and how to hash it, when that can be had without fetching."""
        ...

    def is_here(self, vertex: Vertex, platform: Platform) -> bool:
        """Whether `fetch` would find its tree in the store."""
        ...

    def fetch(self, vertex: Vertex, platform: Platform, hold: Hold) -> Ref:
        """Its tree as a committed snapshot. Raises SourceFetchError."""
        ...


class SourceSet:
    """The sources of one build; each kind is made when first used. Thread-safe.

    Args:
        store: where trees are kept.
        session: the client's session.
        platform: what to build for, where a vertex does not say.
        pins: what another process found out for the same build: see `pins`.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        platform: Platform | None = None,
        pins: Mapping[str, str] | None = None,
    ) -> None:
        self.pins: dict[str, str] = dict(pins or {})
        """What refs and URLs stand for in this build, which sees one version of each."""
        self._store = store
        self._session = session
        self._platform = platform or host_platform()
        self._sources: dict[str, Source] = {}
        self._lock = threading.Lock()

    def key(self, vertex: Vertex) -> str:
        """See `plan.Sources`."""
        return _at(vertex, lambda: self._source(vertex).key(vertex, self._platform_of(vertex)))

    def content(self, vertex: Vertex, selection: Selection) -> str | None:
        """See `plan.Sources`."""
        found = _at(vertex, lambda: self._source(vertex).tree(vertex, self._platform_of(vertex)))
        return None if found is None else content_key(found[0], selection, found[1])

    def files(self, vertex: Vertex, selections: Iterable[Selection]) -> dict[str, str]:
        """The files of a local directory that selections take, with an identity of their content, by path."""
        from pybuild.source.local import LocalSource
        from pybuild.store.contenthash import selected

        source = self._source(vertex)
        assert isinstance(source, LocalSource)
        tree, known = source.files(vertex)
        return {
            entry.path.lstrip("/"): known[entry.path]
            for selection in selections
            for entry in selected(tree, selection.path, picked(selection))
            if entry.path in known
        }

    def is_here(self, vertex: Vertex) -> bool:
        """Whether `fetch` would find the source's tree in the store."""
        return _at(vertex, lambda: self._source(vertex).is_here(vertex, self._platform_of(vertex)))

    def fetch(self, vertex: Vertex, hold: Hold) -> Ref:
        """The source's tree.

        Args:
            vertex: a source.
            hold: takes the snapshots of the result under the build's lease.

        Raises:
            SourceFetchError: it cannot be had.
        """
        return _at(vertex, lambda: self._source(vertex).fetch(vertex, self._platform_of(vertex), hold))

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See `protocols.MetadataResolver`."""
        return _at(vertex, lambda: self._source(vertex).resolve(vertex, platform))

    def _platform_of(self, vertex: Vertex) -> Platform:
        return vertex.constraints.platform or self._platform

    def _source(self, vertex: Vertex) -> Source:
        assert isinstance(vertex.op, SourceOp)
        scheme = vertex.op.scheme
        with self._lock:
            found = self._sources.get(scheme)
            if found is None:
                found = self._sources[scheme] = self._make(scheme)
            return found

    def _make(self, scheme: str) -> Source:
        maker = _MAKERS.get(scheme)
        if maker is None:
            raise CapabilityError(
                f'"{scheme}" sources are not supported by the embedded engine yet',
                hint="fetch it in a run step, or bring it in with local(...)",
            )
        return maker(self._store, self._session, self.pins)


T = TypeVar("T")


def _at(vertex: Vertex, ask: Callable[[], T]) -> T:
    """What `ask` returns; its errors get the vertex's place."""
    try:
        return ask()
    except PybuildError as error:
        raise error.at(vertex.locations) from None


Pins = MutableMapping[str, str]


def _local(store: Store, session: Session, _pins: Pins) -> Source:
    from pybuild.source.local import LocalSource

    return LocalSource(store, session)


def _layout(store: Store, session: Session, _pins: Pins) -> Source:
    from pybuild.source.image import ImageSource
    from pybuild.source.ocilayout import LayoutImages

    return ImageSource(store, LayoutImages(store, session))


def _registry(store: Store, session: Session, _pins: Pins) -> Source:
    from pybuild.source.image import ImageSource
    from pybuild.source.registryimages import RegistryImages

    return ImageSource(store, RegistryImages(store, session))


def _git(store: Store, session: Session, pins: Pins) -> Source:
    from pybuild.source.git import GitSource

    return GitSource(store, session, pins)


def _http(store: Store, session: Session, pins: Pins) -> Source:
    from pybuild.source.http import HttpSource

    return HttpSource(store, session, pins)


_MAKERS: Mapping[str, Callable[[Store, Session, Pins], Source]] = {
    "local": _local,
    "oci-layout": _layout,
    "docker-image": _registry,
    "git": _git,
    "http": _http,
    "https": _http,
}
