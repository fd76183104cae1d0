"""One request on one store: what is planned, what is run of it, and what becomes of the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pybuild.engine.buildlog import remember
from pybuild.engine.buildrecord import keep
from pybuild.engine.imageresult import has_whole_history, image_references, result_config
from pybuild.engine.layerhistory import history_of_layers
from pybuild.engine.platforms import fitted
from pybuild.engine.reported import reported
from pybuild.llb.vertex import Edge, Graph
from pybuild.oci.imageconfig import ImageConfig
from pybuild.protocols import (
    ExportInput,
    ExportResult,
    PlatformResult,
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

    def finish_cached(self, lease: Lease, sink: ProgressSink, started: float) -> SolveResult | None:
        """The result of a build of which everything is cached; None when it was collected in the meantime."""
        reporter = Reporter(self.job, sink)
        refs: list[Ref] = []
        for head in self.job.heads:
            if head is None:
                refs.append(Ref(snapshot=""))
                continue
            record = lease.hold_result(head[0].keys[head[1]])
            if record is None:
                return None
            refs.append(record.ref)
        for step in self.job.steps:
            if step.state == "cached":
                reporter.cached(step)
        return self.finish(refs, reporter, sink, started)

    def finish(self, refs: Sequence[Ref], reporter: Reporter, sink: ProgressSink, started: float) -> SolveResult:
        """Export the result, which is one file tree per head of the graph, and say how everything went."""
        results = self.results(refs)
        if self.request.attests:
            from pybuild.engine.attested import with_attestations

            results = with_attestations(self, results, started)
        exports = tuple(self._export(results, sink))
        if self.request.cache_to:
            from pybuild.engine.caches import export_caches

            export_caches(self, refs, self._session, sink)
        keys = [step.keys[output] for step in self.job.steps if step.state == "cached" for output in step.keys]
        self.store.cache.touch(keys)
        steps = reporter.results()
        keep(self, steps, started)
        remember(self, steps, started)
        return SolveResult(
            ref=results[0].ref,
            config=results[0].config,
            results=results,
            steps=steps,
            exports=exports,
            duration=time.time() - started,
            graph=self.graph,
        )

    def _export(self, results: tuple[PlatformResult, ...], sink: ProgressSink) -> list[ExportResult]:
        exports: list[ExportResult] = []
        for number, output in enumerate(self.request.outputs):
            source = ExportInput(
                results=results,
                output=output,
                source_date_epoch=self.request.source_date_epoch,
                base_images=image_references(self.graph),
                inline_cache=self._inline_cache(),
            )
            exports.append(self._export_one(source, number, sink))
        return exports

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
