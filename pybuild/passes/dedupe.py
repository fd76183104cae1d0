"""Makes one vertex of vertices with equal digests, with the locations of all of them.

Safe because a digest covers everything that decides a result. Metadata is united as BuildKit does when it meets equal
digests (client/llb/marshal.go): of descriptions the last one wins, `ignore_cache` and capabilities add up. Two local
sources of one name that stand for different directories are an error: one of them would be lost.

    before   alpine (Buildfile.py:4), alpine (Buildfile.py:9)
    after    alpine (Buildfile.py:4, Buildfile.py:9)
"""

from __future__ import annotations

from pybuild.errors import DefinitionError
from pybuild.llb.meta import Metadata
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import unflatten
from pybuild.protocols import PassContext


def dedupe(graph: Graph, _context: PassContext, /) -> Graph:
    """Run the pass."""
    if len({vertex.digest for vertex in graph.vertices}) == len(graph.vertices):
        return graph
    first: dict[str, int] = {}
    united: list[Vertex] = []
    for vertex in graph.vertices:
        number = first.setdefault(vertex.digest, len(united))
        if number == len(united):
            united.append(vertex)
        else:
            united[number] = _unite(united[number], vertex)
    # The first of equal vertices stands before every user of any of them, so this is still a topological order.
    rows = [
        (
            vertex.op,
            tuple((first[edge.vertex.digest], int(edge.output)) for edge in vertex.inputs),
            vertex.constraints,
            vertex.metadata,
            vertex.locations,
        )
        for vertex in united
    ]
    made = unflatten(rows)
    return Graph(None if edge is None else Edge(made[first[edge.vertex.digest]], edge.output) for edge in graph.heads)


def _unite(kept: Vertex, other: Vertex) -> Vertex:
    left, right = kept.metadata, other.metadata
    if left.local_dir != right.local_dir:
        name = kept.name.partition("://")[2] or kept.name
        raise DefinitionError(
            f'two directories share the name "{name}": "{left.local_dir}" and "{right.local_dir}"',
            locations=[*other.locations[:1], *kept.locations[:1]],
            hint="give one of them another name, such as local(..., name=...)",
        )
    known = set(kept.locations)
    locations = (*kept.locations, *(place for place in other.locations if place not in known))
    return kept.replace(metadata=_united_metadata(left, right), locations=locations)


def _united_metadata(left: Metadata, right: Metadata) -> Metadata:
    if left == right:
        return left
    return Metadata(
        ignore_cache=left.ignore_cache or right.ignore_cache,
        description=tuple(sorted({**dict(left.description), **dict(right.description)}.items())),
        export_cache=left.export_cache if right.export_cache is None else right.export_cache,
        caps=tuple(sorted({*left.caps, *right.caps})),
        progress_group=right.progress_group or left.progress_group,
        resources=right.resources or left.resources,
        local_dir=left.local_dir,
    )
