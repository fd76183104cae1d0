"""Looking at a state without building it: its graph, the text tree, the drawing, and what a notebook shows."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild._boundary import public
from pybuild.dsl.paths import StrPath
from pybuild.errors import DefinitionError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.platform import Platform, host_platform

if TYPE_CHECKING:
    from pybuild.llb.definition import Definition
    from pybuild.viz.drawing import Drawing

_NOTEBOOK_LIMIT = 200


class Inspectable(ABC):
    """What stands for a result of a graph. Nothing here executes anything or needs an engine."""

    __slots__ = ()

    @property
    @abstractmethod
    def head(self) -> Edge | None:
        """The edge of the graph that this stands for; None for an empty file system."""

    @property
    @abstractmethod
    def platform(self) -> Platform | None:
        """The platform that was asked for; None is the platform of the build."""

    @public
    def graph(self, *, optimized: bool = False) -> Graph:
        """The graph below this state.

        Args:
            optimized: after those passes that need no lookup.

        Raises:
            DefinitionError: one name stands for two local directories.

        Example:
            >>> from pybuild import image
            >>> len(image("alpine").run("make").graph())
            2
        """
        graph = Graph([self.head])
        _check_directories(graph.vertices)
        return _optimized(graph, self.platform or host_platform()) if optimized else graph

    @public
    def definition(self, *, platform: Platform | str | None = None) -> Definition:
        """The graph in BuildKit's wire form: what `buildctl build` takes, and the digests that its cache goes by.

        Images keep the references they were written with: an engine resolves them.

        Args:
            platform: what to build for; that of the state, or else this machine's, by default.

        Raises:
            UnresolvedError: a step inherits something from an image, whose config is not known here.

        Example:
            >>> from pybuild import image
            >>> len(image("alpine").write("/motd", "welcome").definition(platform="linux/amd64").ops)
            3
        """
        from pybuild.llb.marshal import MarshalOptions, marshal
        from pybuild.passes.pipeline import run_passes
        from pybuild.platform import parse_platform
        from pybuild.protocols import PassContext

        wanted = parse_platform(platform) if isinstance(platform, str) else platform
        wanted = wanted or self.platform or host_platform()
        graph = run_passes(self.graph(), PassContext(platform=wanted))
        return marshal(graph, MarshalOptions(platform=wanted))

    @public
    def explain(self, *, optimized: bool = True) -> str:
        """The graph as a text tree, each step with the line that wrote it.

        Example:
            >>> from pybuild import image
            >>> "make" in image("alpine").run("make").explain()
            True
        """
        from pybuild.viz.text import explain

        return explain(self.graph(optimized=optimized))

    @public
    def visualize(self, path: StrPath | None = None, *, format: str = "svg", optimized: bool = False) -> Drawing:  # noqa: A002  # graphviz's word
        """A drawing of the graph.

        Args:
            path: a file to write it to; its suffix decides the format.
            format: svg, png, dot, mermaid or text, when there is no path.
            optimized: draw the graph after those passes that need no lookup.

        Example:
            >>> from pybuild import image
            >>> drawing = image("alpine").run("make").visualize(format="dot")
        """
        from pybuild.viz.drawing import Drawing

        drawing = Drawing(self.graph(optimized=optimized), format=format)
        if path is not None:
            drawing.save(Path(path))
        return drawing

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: text always, a picture of graphs that are not too large. Never raises."""
        bundle = {"text/plain": repr(self)}
        # A notebook must show something even when graphviz is missing or the graph is wrong: no exception leaves.
        with contextlib.suppress(Exception):
            drawing = self.visualize()
            count = len(drawing.graph)
            if count > _NOTEBOOK_LIMIT:
                bundle["text/plain"] += f" ({count} steps, too many to draw here; use .visualize(path))"
                return bundle
            bundle |= drawing._repr_mimebundle_()
            bundle["text/plain"] = self.explain(optimized=False)
        return bundle


def _optimized(graph: Graph, platform: Platform) -> Graph:
    """The graph after those passes that need no lookup."""
    from pybuild.passes.dedupe import dedupe
    from pybuild.passes.narrow_context import narrow_context
    from pybuild.passes.pipeline import run_passes
    from pybuild.passes.prune import prune
    from pybuild.protocols import PassContext

    return run_passes(graph, PassContext(platform=platform), (dedupe, prune, narrow_context))


def _check_directories(vertices: Sequence[Vertex]) -> None:
    """Raise DefinitionError when one name stands for two directories: their vertices would be taken for equal."""
    seen: dict[str, Vertex] = {}
    for vertex in vertices:
        if not isinstance(vertex.op, SourceOp) or not vertex.metadata.local_dir:
            continue
        first = seen.setdefault(vertex.op.identifier, vertex)
        if first.metadata.local_dir != vertex.metadata.local_dir:
            raise DefinitionError(
                f'the name "{vertex.op.reference}" stands for two directories: '
                f"{first.metadata.local_dir} and {vertex.metadata.local_dir}",
                locations=(*vertex.locations, *first.locations),
                hint='give one of them a name of its own: local(..., name="...")',
            )
