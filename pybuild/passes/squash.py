"""Makes one layer of the steps between two that the user names: `--squash FROM..TO`.

Safe because the tree stays the same: it is copied as a whole onto an empty one, compared with the tree before the
range, and the differences, removals too, are laid on that. The steps run as before and are cached as before; only
what comes after them, and the image, see one layer. FROM is left out of the range and is the base image when not
given, TO is in it and is the result when not given. A step is named by its name, its target (the last step of it), or
its line as in `Buildfile.py:12` or `:12`. Extended attributes other than capabilities are lost in files that the
range made. Without a range the pass does nothing.

    before   alpine  <-  run make (Buildfile.py:4)  <-  rm /src (Buildfile.py:5)
    after    merge(alpine, diff(alpine, copy / /))
"""

from __future__ import annotations

from collections.abc import Iterator

from pybuild.errors import DefinitionError
from pybuild.llb import construct
from pybuild.llb.files import CopyAction
from pybuild.llb.meta import Metadata
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import primary_input
from pybuild.location import Location, display_path
from pybuild.passes.unite import STAGE, stage_of
from pybuild.protocols import PassContext


def squash(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass.

    Raises:
        DefinitionError: the range is not of the form FROM..TO, or there are no such steps below the result.
    """
    if not context.squash or not graph.heads or graph.heads[0] is None:
        return graph
    below, top, steps = _range(graph.heads[0], context.squash)
    if len(steps) < 2:
        return graph
    squashed = _squashed(below, top, steps)
    if context.record is not None:
        context.record("squashed", steps, [squashed.vertex])
    return _with(graph, top, squashed)


def _range(head: Edge, text: str) -> tuple[Edge | None, Edge, list[Vertex]]:
    """The tree before the range, the tree after it, and the steps of it, first to last."""
    start, dots, end = text.partition("..")
    if not dots:
        raise DefinitionError(f'"{text}" is not of the form FROM..TO', hint='both may be left out: ".." is everything')
    trees = list(_trees(head))
    first = _find(trees, end) if end else 0
    last = len(trees) - isinstance(trees[-1].vertex.op, SourceOp)
    if start:
        last = first + 1 + _find(trees[first + 1 :], start)
    steps = [edge.vertex for edge in trees[first:last]]
    steps.reverse()
    return (trees[last] if last < len(trees) else None), trees[first], steps


def _trees(head: Edge) -> Iterator[Edge]:
    """The trees that the result grew out of, itself first."""
    current: Edge | None = head
    while current is not None:
        yield current
        current = primary_input(current)


def _find(trees: list[Edge], text: str) -> int:
    for number, edge in enumerate(trees):
        if _is_named(edge.vertex, text):
            return number
    known = dict.fromkeys(stage for edge in trees if (stage := stage_of(edge.vertex)))
    raise DefinitionError(
        f'squash: there is no step "{text}" on the way to the result',
        hint=f"targets on the way: {', '.join(known)}" if known else "name a step by its name or its line",
    )


def _is_named(vertex: Vertex, text: str) -> bool:
    if text in (stage_of(vertex), vertex.name):
        return True
    name, colon, line = text.rpartition(":")
    return bool(colon) and line.isdigit() and any(_is_at(place, name, int(line)) for place in vertex.locations)


def _is_at(place: Location, name: str, line: int) -> bool:
    path = display_path(place.file)
    return place.line == line and (not name or path == name or path.endswith(f"/{name}"))


def _squashed(below: Edge | None, top: Edge, steps: list[Vertex]) -> Edge:
    places = tuple(dict.fromkeys(place for vertex in steps for place in vertex.locations))
    stage = stage_of(top.vertex)
    plain = Metadata(description=((STAGE, stage),) if stage else ())
    name = f"squash {len(steps)} steps"
    everything = CopyAction(source="/", dest="/", dir_copy_contents=True, create_dest_path=True)
    flat = Edge(construct.file(None, [(everything, top)], metadata=plain.named(f"{name}: copy"), locations=places))
    if below is None:
        return flat
    changes = construct.diff(below, flat, metadata=plain.named(f"{name}: compare"), locations=places)
    made = construct.merge([below, changes], metadata=plain.named(name), locations=places)
    assert made is not None
    return made


def _with(graph: Graph, old: Edge, new: Edge) -> Graph:
    """The graph with `new` wherever `old` was used."""
    made: dict[int, Vertex] = {}

    def follow(edge: Edge) -> Edge:
        if edge.vertex is old.vertex and edge.output == old.output:
            return new
        return Edge(made.get(id(edge.vertex), edge.vertex), edge.output)

    for vertex in graph.vertices:
        below = (*[edge.vertex for edge in vertex.inputs], *vertex.visits)
        if any(one is old.vertex or id(one) in made for one in below):
            visits = [follow(Edge(one)).vertex for one in vertex.visits]
            made[id(vertex)] = vertex.replace(inputs=[follow(edge) for edge in vertex.inputs], visits=visits)
    return Graph(None if edge is None else follow(edge) for edge in graph.heads)
