"""Vertices that are made when a graph is marshalled, and their outputs."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from pybuild.errors import DefinitionError
from pybuild.llb.vertex import Edge, OutputIndex, Vertex
from tests.wire.client.constraints import Constraints
from tests.wire.client.structs import PlatformSpec


class Operation:
    """A vertex that does not exist yet: made once for each marshalling.

    Args:
        make: makes it; what it returns may be an edge of another vertex, or nothing.
    """

    def __init__(self, make: Callable[[Constraints], Vertex | Edge | None]) -> None:
        self._make = make
        self._made: dict[int, tuple[Constraints, Vertex | Edge | None]] = {}

    def forget(self) -> None:
        """Something was added to it."""
        self._made.clear()

    def vertex(self, given: Constraints) -> Vertex | Edge | None:
        """The vertex of a marshalling, which `given` stands for."""
        if id(given) not in self._made:
            self._made[id(given)] = given, self._make(given)
        return self._made[id(given)][1]


@attrs.define(eq=False)
class OperationOutput:
    """One output of an operation."""

    operation: Operation
    index: Callable[[], int] = lambda: 0
    platform: PlatformSpec | None = None
    error: str = ""

    def edge(self, given: Constraints) -> Edge | None:
        """See states.Output."""
        if self.error:
            raise DefinitionError(self.error)
        found = self.operation.vertex(given)
        return Edge(found, OutputIndex(self.index())) if isinstance(found, Vertex) else found

    def Output(self) -> OperationOutput:
        """Itself: a vertex is asked for its output."""
        return self
