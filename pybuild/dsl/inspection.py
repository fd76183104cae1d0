"""Looking at a state without building it: its graph, the text tree, the drawing, and what a notebook shows."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.dsl.sources import check_directories
from pybuild.llb.vertex import Graph
from pybuild.platform import host_platform
from pybuild.protocols import PassContext

if TYPE_CHECKING:
    from pybuild.dsl.state import State, StrPath
    from pybuild.viz.drawing import Drawing

_NOTEBOOK_LIMIT = 200


def graph_of(state: State, *, optimized: bool) -> Graph:
    """The graph below `state`, with the passes that need no lookup applied when `optimized`."""
    graph = Graph([state.head])
    check_directories(graph.vertices)
    if not optimized:
        return graph
    from pybuild.passes.dedupe import dedupe
    from pybuild.passes.narrow_context import narrow_context
    from pybuild.passes.pipeline import run_passes
    from pybuild.passes.prune import prune

    return run_passes(graph, PassContext(platform=state.platform or host_platform()), (dedupe, prune, narrow_context))


def explain(state: State, *, optimized: bool) -> str:
    """The graph as text."""
    from pybuild.viz import text

    return text.explain(graph_of(state, optimized=optimized))


def visualize(state: State, path: StrPath | None, *, format: str, optimized: bool) -> Drawing:  # noqa: A002  # graphviz's word
    """The graph as a drawing, written to `path` when there is one."""
    from pybuild.viz.drawing import Drawing

    drawing = Drawing(graph_of(state, optimized=optimized), format=format)
    if path is not None:
        drawing.save(Path(path))
    return drawing


def mimebundle(state: State) -> dict[str, str]:
    """What a notebook shows: text always, a picture of graphs that are not too large. Never raises."""
    bundle = {"text/plain": repr(state)}
    # A notebook must show something even when graphviz is missing or the graph is wrong: hence no exception leaves.
    with contextlib.suppress(Exception):
        graph = graph_of(state, optimized=False)
        if len(graph) > _NOTEBOOK_LIMIT:
            bundle["text/plain"] += f" ({len(graph)} steps, too many to draw here; use .visualize(path))"
            return bundle
        bundle["text/plain"] = explain(state, optimized=False)
        bundle["image/svg+xml"] = visualize(state, None, format="svg", optimized=False).text
    return bundle
