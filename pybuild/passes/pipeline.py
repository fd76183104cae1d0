"""The passes, in order, and the driver that runs them.

`DEFAULT` is what every build runs. Each pass is a pure function from graph to graph in its own file; to add one, write
the file and put it into the tuple.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from pybuild.llb.vertex import Graph
from pybuild.passes.bind_platform import bind_platform
from pybuild.passes.dedupe import dedupe
from pybuild.passes.narrow_context import narrow_context
from pybuild.passes.prune import prune
from pybuild.passes.resolve import resolve
from pybuild.passes.verify import Level, verify
from pybuild.protocols import Pass, PassContext

DEFAULT: tuple[Pass, ...] = (dedupe, resolve, bind_platform, dedupe, prune, narrow_context)


@attrs.frozen(kw_only=True)
class PassReport:
    """What one pass did: vertices before and after, and how long it took in seconds."""

    name: str
    before: int
    after: int
    changed: bool
    duration: float


def run_passes(
    graph: Graph,
    context: PassContext,
    passes: Sequence[Pass] = DEFAULT,
    *,
    verify_each: bool = False,
    report: list[PassReport] | None = None,
) -> Graph:
    """Run `passes` over `graph`, one after the other.

    Args:
        graph: where to start from; it is not changed.
        context: platform and resolver.
        passes: what to run.
        verify_each: check the graph after every pass.
        report: gets one entry per pass.

    Raises:
        InternalError: a pass made an illegal graph.
    """
    if verify_each:
        verify(graph, Level.DEFINITION)
    for step in passes:
        started = time.perf_counter()
        made = step(graph, context)
        if report is not None:
            report.append(
                PassReport(
                    name=step.__name__,
                    before=len(graph),
                    after=len(made),
                    changed=made is not graph,
                    duration=time.perf_counter() - started,
                )
            )
        graph = made
        if verify_each:
            verify(graph, Level.DEFINITION)
    return graph
