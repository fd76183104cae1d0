"""One request on one store: what is planned, what is run of it, and what becomes of the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pybuild.engine.buildrecord import keep
from pybuild.engine.imageresult import image_references, layer_history, result_config
from pybuild.engine.reported import reported
from pybuild.llb.vertex import Edge, Graph
from pybuild.oci.imageconfig import ImageConfig
from pybuild.passes.pipeline import passes_named, run_passes
from pybuild.protocols import (
    ExportInput,
    ExportResult,
    PassContext,
    ProgressSink,
    Ref,
    Session,
    SolveRequest,
    SolveResult,
)
from pybuild.solver.contents import SnapshotContents
from pybuild.solver.plan import Planner
from pybuild.solver.report import Reporter
from pybuild.solver.sources import SourceSet
from pybuild.solver.state import Job
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.protocols import Lease
    from pybuild.remotecache.imports import ImportedCache

_CANCEL_GRACE_SECONDS = 15.0


class Build:
    """One request on one store: optimized graph, job, and what becomes of the result.

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
        self._session = session
        self.sources = SourceSet(store, session, request.platform, pins)
        context = PassContext(platform=request.platform, resolver=self.sources, squash=request.squash)
        self.graph: Graph = run_passes(request.graph, context, passes_named(request.passes))
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

    def import_caches(self, sink: ProgressSink, caches: tuple[ImportedCache, ...] | None = None) -> None:
        """Look into the caches that the request names, from now on; what cannot be read is a warning.

        Args:
            sink: receives the warnings.
            caches: what another process has read of them for the same build.
        """
        if not self.request.cache_from:
            return
        from pybuild.engine.caches import read_caches
        from pybuild.remotecache.imports import Imports

        self.caches = read_caches(self.request, self._session, sink) if caches is None else caches
        self.planner.imports = Imports(self.caches)

    @property
    def complete(self) -> bool:
        """Whether every head is cached."""
        return all(head is None or head[0].state == "cached" for head in self.job.heads)

    @property
    def head(self) -> Edge | None:
        """The result edge of the optimized graph."""
        return self.graph.heads[0]

    def config(self) -> ImageConfig:
        """The result's image config, without layers."""
        written = self.request.graph.heads[0]
        return result_config(self.head, written, self.request.patch, self.request.platform, self.sources)

    def finish_cached(self, lease: Lease, sink: ProgressSink, started: float) -> SolveResult | None:
        """The result of a build of which everything is cached; None when it was collected in the meantime."""
        reporter = Reporter(self.job, sink)
        head = self.job.heads[0]
        ref = Ref(snapshot="")
        if head is not None:
            record = lease.hold_result(head[0].keys[head[1]])
            if record is None:
                return None
            ref = record.ref
        for step in self.job.steps:
            if step.state == "cached":
                reporter.cached(step)
        return self.finish(ref, reporter, sink, started)

    def finish(self, ref: Ref, reporter: Reporter, sink: ProgressSink, started: float) -> SolveResult:
        """Export the result and say how everything went."""
        config = self.config()
        exports = tuple(self._export(ref, config, sink))
        if self.request.cache_to:
            from pybuild.engine.caches import export_caches

            export_caches(self, ref, self._session, sink)
        keys = [step.keys[output] for step in self.job.steps if step.state == "cached" for output in step.keys]
        self.store.cache.touch(keys)
        steps = reporter.results()
        keep(self, steps, started)
        return SolveResult(
            ref=ref,
            config=config,
            steps=steps,
            exports=exports,
            duration=time.time() - started,
            graph=self.graph,
        )

    def _export(self, ref: Ref, config: ImageConfig, sink: ProgressSink) -> list[ExportResult]:
        results: list[ExportResult] = []
        for number, output in enumerate(self.request.outputs):
            source = ExportInput(
                ref=ref,
                config=config,
                output=output,
                platform=self.request.platform,
                source_date_epoch=self.request.source_date_epoch,
                layer_history=None if self.request.patch.base is not None else layer_history(self.head),
                base_images=image_references(self.graph),
                inline_cache=self._inline_cache(),
            )
            results.append(self._export_one(source, number, sink))
        return results

    def _inline_cache(self) -> Callable[[Sequence[str]], bytes] | None:
        if all(spec.type != "inline" for spec in self.request.cache_to):
            return None
        from pybuild.engine.caches import inline_cache

        return inline_cache(self)

    def _export_one(self, source: ExportInput, number: int, sink: ProgressSink) -> ExportResult:
        """Write one output; in the progress it is a step as any other."""
        from pybuild.exporter import exporter_for

        label = f"exporting {source.output.type} {source.output.dest}".rstrip()
        with reported(sink, f"{label} ({number + 1})" if number else label) as report:
            return exporter_for(source.output.type, self.store, self._session.credentials).export(source, report)
