"""One request on one store: what is planned, what is run of it, and what the results are. `finish.py` ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pybuild.engine.imageresult import has_whole_history, result_config
from pybuild.engine.layerhistory import history_of_layers
from pybuild.engine.platforms import fitted
from pybuild.llb.vertex import Edge, Graph
from pybuild.oci.imageconfig import ImageConfig
from pybuild.protocols import (
    PlatformResult,
    Ref,
    Session,
    SolveRequest,
)
from pybuild.solver.contents import SnapshotContents
from pybuild.solver.plan import Planner
from pybuild.solver.sources import SourceSet
from pybuild.solver.state import Job
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.remotecache.imports import ImportedCache


class Build:
    """One request on one store: optimized graph, job, and results.

    Args:
        store: the store.
        request: what to build.
        session: the client's session.
        pins: what is known already of its sources.
    """

    def __init__(
        self, store: Store, request: SolveRequest, session: Session, pins: Mapping[str, str] | None = None
    ) -> None:
        self.store = store
        self.request = request
        self.session = session
        self.sources = SourceSet(store, session, request.platform, pins)
        self.graph: Graph = fitted(request, self.sources)
        self.job = Job(self.graph, request.no_cache)
        self.planner = Planner(store.cache, self.sources, SnapshotContents(store))
        self.caches: tuple[ImportedCache, ...] | None = None

    def plan(self, *, learn: bool) -> None:
        """Decide on every step; `learn` stores what was found by content, for a faster next time."""
        for key, links in self.planner.plan(self.job):
            if learn:
                self.store.cache.add_links(key, links)

    def narrow(self, heads: Sequence[Edge]) -> None:
        """Build these edges of the graph instead of its result; before planning."""
        self.graph = Graph(heads)
        self.job = Job(self.graph, self.request.no_cache)

    @property
    def complete(self) -> bool:
        """Whether every head is cached."""
        return all(head is None or head[0].state == "cached" for head in self.job.heads)

    @property
    def head(self) -> Edge | None:
        """The result edge of the optimized graph, for the first platform."""
        return self.graph.heads[0]

    def config(self, number: int = 0) -> ImageConfig:
        """The image config of a result, without layers; `number` is the platform's place in the request."""
        variant, head, written = (
            self.request.variants[number],
            self.graph.heads[number],
            self.request.graph.heads[number],
        )
        return result_config(head, written, variant.patch, variant.platform, self.sources)

    def results(self, refs: Sequence[Ref]) -> tuple[PlatformResult, ...]:
        """What was made for each platform.

        Args:
            refs: the file trees of the graph's heads, in their order.
        """
        variants = zip(self.request.variants, self.graph.heads, self.request.graph.heads, refs, strict=True)
        return tuple(
            PlatformResult(
                platform=variant.platform,
                ref=ref,
                config=self.config(number),
                layer_history=None if has_whole_history(written, variant.patch) else history_of_layers(head).entries,
            )
            for number, (variant, head, written, ref) in enumerate(variants)
        )
