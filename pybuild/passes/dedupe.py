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


def dedupe(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass."""
    if len({vertex.digest for vertex in graph.vertices}) == len(graph.vertices):
        return graph
    equal: dict[str, list[Vertex]] = {}
    for vertex in graph.vertices:
        equal.setdefault(vertex.digest, []).append(vertex)
    first = {digest: number for number, digest in enumerate(equal)}
    united = [_united(vertices, context) for vertices in equal.values()]
    # The first of equal vertices stands before every user of any of them, so this is still a topological order.
    rows = [
        (
            vertex.op,
            tuple((first[edge.vertex.digest], int(edge.output)) for edge in vertex.inputs),
            vertex.constraints,
            vertex.metadata,
            vertex.locations,
            (),
            b"",
        )
        for vertex in united
    ]
    rebuilt = unflatten(rows)
    return Graph(
        None if edge is None else Edge(rebuilt[first[edge.vertex.digest]], edge.output) for edge in graph.heads
    )


def _united(vertices: list[Vertex], context: PassContext) -> Vertex:
    """One vertex of equal ones. Linear, however many there are."""
    kept = vertices[0]
    if len(vertices) == 1:
        return kept
    for other in vertices[1:]:
        _check_directory(kept, other)
    made = kept.replace(
        metadata=_united_metadata([vertex.metadata for vertex in vertices]),
        locations=tuple(dict.fromkeys(place for vertex in vertices for place in vertex.locations)),
    )
    if context.record is not None:
        context.record("united", vertices, [made])
    return made


def _check_directory(kept: Vertex, other: Vertex) -> None:
    left, right = kept.metadata.local_dir, other.metadata.local_dir
    if left != right:
        name = kept.name.partition("://")[2] or kept.name
        raise DefinitionError(
            f'two directories share the name "{name}": "{left}" and "{right}"',
            locations=[*other.locations[:1], *kept.locations[:1]],
            hint="give one of them another name, such as local(..., name=...)",
        )


def _united_metadata(all_of_them: list[Metadata]) -> Metadata:
    first = all_of_them[0]
    if all(other == first for other in all_of_them):
        return first
    description: dict[str, str] = {}
    caps: set[str] = set()
    export_cache, progress_group, resources = first.export_cache, first.progress_group, first.resources
    caching = first.caching
    for other in all_of_them:
        description.update(other.description)
        caps.update(other.caps)
        export_cache = export_cache if other.export_cache is None else other.export_cache
        progress_group = other.progress_group or progress_group
        resources = other.resources or resources
        caching = other.caching.joined(caching) if other.caching is not None else caching
    return first.replace(
        ignore_cache=any(other.ignore_cache for other in all_of_them),
        description=tuple(sorted(description.items())),
        export_cache=export_cache,
        caps=tuple(sorted(caps)),
        progress_group=progress_group,
        resources=resources,
        split_uses=any(other.split_uses for other in all_of_them),
        caching=caching,
    )
