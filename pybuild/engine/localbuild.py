"""One request on one store: what is planned, what is run of it, and what becomes of the result."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pybuild.digest import digest_of
from pybuild.engine.buildrecord import keep
from pybuild.engine.imageresult import image_references, layer_history, result_config
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
    StepFinished,
    StepStarted,
    StepState,
    StepStatus,
)
from pybuild.solver.contents import SnapshotContents
from pybuild.solver.plan import Planner
from pybuild.solver.report import Reporter
from pybuild.solver.sources import SourceSet
from pybuild.solver.state import Job
from pybuild.store.store import Store

if TYPE_CHECKING:
    from pybuild.protocols import Lease

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
            )
            results.append(self._export_one(source, number, sink))
        return results

    def _export_one(self, source: ExportInput, number: int, sink: ProgressSink) -> ExportResult:
        """Write one output; in the progress it is a step as any other."""
        from pybuild.exporter import exporter_for

        name = f"exporting {source.output.type} {source.output.dest}".rstrip()
        step = digest_of("export", number)
        begun = time.time()

        def finished(state: StepState, error: str = "") -> None:
            now = time.time()
            sink.emit(StepFinished(digest=step, name=name, state=state, time=now, duration=now - begun, error=error))

        sink.emit(StepStarted(digest=step, name=name, time=begun))
        try:
            result = exporter_for(source.output.type, self.store, self._session.credentials).export(
                source, lambda text: sink.emit(StepStatus(digest=step, id=text, current=0, total=0, time=time.time()))
            )
        except Exception as error:
            finished("failed", str(error))
            raise
        finished("done")
        return result
