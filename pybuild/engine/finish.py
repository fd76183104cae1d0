"""How a build ends: its results are exported, its caches written, and what happened is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pybuild.engine.buildlog import remember
from pybuild.engine.buildrecord import keep
from pybuild.engine.imageresult import image_references
from pybuild.engine.reported import reported
from pybuild.protocols import ExportInput, ExportResult, PlatformResult, ProgressSink, Ref, SolveResult
from pybuild.solver.report import Reporter

if TYPE_CHECKING:
    from pybuild.engine.localbuild import Build
    from pybuild.protocols import Lease


def finish_cached(build: Build, lease: Lease, sink: ProgressSink, started: float) -> SolveResult | None:
    """The result of a build of which everything is cached; None when it was collected in the meantime."""
    reporter = Reporter(build.job, sink)
    refs: list[Ref] = []
    for head in build.job.heads:
        if head is None:
            refs.append(Ref(snapshot=""))
            continue
        record = lease.hold_result(head[0].keys[head[1]])
        if record is None:
            return None
        refs.append(record.ref)
    for step in build.job.steps:
        if step.state == "cached":
            reporter.cached(step)
    return finish(build, refs, reporter, sink, started)


def finish(build: Build, refs: Sequence[Ref], reporter: Reporter, sink: ProgressSink, started: float) -> SolveResult:
    """Export the result, which is one file tree per head of the graph, and say how everything went."""
    results = build.results(refs)
    if build.request.attests:
        from pybuild.engine.attested import with_attestations

        results = with_attestations(build, results, started)
    exports = tuple(_export(build, results, sink))
    if build.request.cache_to:
        from pybuild.engine.caches import export_caches

        export_caches(build, refs, build.session, sink)
    keys = [step.keys[output] for step in build.job.steps if step.state == "cached" for output in step.keys]
    build.store.cache.touch(keys)
    steps = reporter.results()
    keep(build, steps, started)
    remember(build, steps, started)
    return SolveResult(
        ref=results[0].ref,
        config=results[0].config,
        results=results,
        steps=steps,
        exports=exports,
        duration=time.time() - started,
        graph=build.graph,
    )


def _export(build: Build, results: tuple[PlatformResult, ...], sink: ProgressSink) -> list[ExportResult]:
    exports: list[ExportResult] = []
    for number, output in enumerate(build.request.outputs):
        source = ExportInput(
            results=results,
            output=output,
            source_date_epoch=build.request.source_date_epoch,
            base_images=image_references(build.graph),
            inline_cache=_inline_cache(build),
        )
        exports.append(_export_one(build, source, number, sink))
    return exports


def _inline_cache(build: Build) -> Callable[[Sequence[str]], bytes] | None:
    if all(spec.type != "inline" for spec in build.request.cache_to):
        return None
    from pybuild.engine.caches import inline_cache

    return inline_cache(build)


def _export_one(build: Build, source: ExportInput, number: int, sink: ProgressSink) -> ExportResult:
    """Write one output; in the progress it is a step as any other."""
    from pybuild.exporter import exporter_for

    label = f"exporting {source.output.type} {source.output.dest}".rstrip()
    with reported(sink, f"{label} ({number + 1})" if number else label) as report:
        return exporter_for(source.output.type, build.store, build.session.credentials).export(source, report)
