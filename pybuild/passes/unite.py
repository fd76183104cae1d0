"""When several vertices may become one, and what the one says of itself: for the passes that join vertices.

Only vertices that are built, cached and shown alike are joined, and never across targets: the result of a target is
what other targets start from, so it stays a step of its own, which their builds find in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

from pybuild.llb.meta import Metadata
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import consumers
from pybuild.location import Location

STAGE = "pybuild.stage"
_NAME = "llb.customname"
_NAMES_SHOWN = 4

Users = dict[int, list[tuple[Vertex, int]]]


def stage_of(vertex: Vertex) -> str:
    """The target that a vertex was written in; "" for none."""
    return dict(vertex.metadata.description).get(STAGE, "")


def joinable(one: Vertex, other: Vertex) -> bool:
    """Whether two vertices may become one: they are alike in all that decides where, whether and how a step runs."""
    left, right = one.metadata, other.metadata
    return (
        one.constraints == other.constraints
        and left.ignore_cache == right.ignore_cache
        and left.caching == right.caching
        and left.export_cache == right.export_cache
        and left.progress_group == right.progress_group
        and left.resources == right.resources
        and stage_of(one) == stage_of(other)
    )


def joined(vertices: Sequence[Vertex]) -> tuple[Metadata, tuple[Location, ...]]:
    """Metadata and locations of the vertex that stands for `vertices`; given names are strung together."""
    description: dict[str, str] = {}
    caps: set[str] = set()
    for vertex in vertices:
        description.update(vertex.metadata.description)
        caps.update(vertex.metadata.caps)
    if _NAME in description:
        names = list(dict.fromkeys(vertex.name for vertex in vertices))
        more = [f"and {len(names) - _NAMES_SHOWN} more"] if len(names) > _NAMES_SHOWN else []
        description[_NAME] = ", ".join([*names[:_NAMES_SHOWN], *more])
    metadata = vertices[-1].metadata.replace(description=tuple(sorted(description.items())), caps=tuple(sorted(caps)))
    return metadata, tuple(dict.fromkeys(place for vertex in vertices for place in vertex.locations))


class Usage:
    """Who uses what in a graph, and what is a result: a vertex with one user can be taken out, others are needed."""

    def __init__(self, graph: Graph) -> None:
        self._users: Users = consumers(graph)
        self._heads = {id(edge.vertex) for edge in graph.heads if edge is not None}

    def only_user(self, vertex: Vertex) -> Vertex | None:
        """The vertex that alone uses `vertex`, by one input; None when there are more, or when it is a result."""
        users = self._users[id(vertex)]
        return users[0][0] if len(users) == 1 and id(vertex) not in self._heads else None

    def users(self, vertex: Vertex) -> Sequence[tuple[Vertex, int]]:
        """All (user, input number)."""
        return self._users[id(vertex)]

    def is_head(self, vertex: Vertex) -> bool:
        """Whether it is a result of the graph."""
        return id(vertex) in self._heads
