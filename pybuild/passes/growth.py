"""Which trees of a graph grew out of which others: an ancestor's layers are the lower ones of its descendant's.

Read off the steps (base of a file op, root of an exec, first input of a merge), never off contents.
"""

from __future__ import annotations

from typing import NamedTuple

from pybuild.llb.ops import DiffOp
from pybuild.llb.vertex import Edge
from pybuild.llb.walk import primary_input

Key = tuple[str, int]


def key_of(edge: Edge) -> Key:
    """What identifies an edge's tree."""
    return edge.vertex.digest, int(edge.output)


class _Node(NamedTuple):
    """A tree: how many it grew out of, the nearest of them, and one further down, to get to the others fast."""

    depth: int
    parent: Key | None
    jump: Key


class Growth:
    """Answers whether one tree grew out of another, in time that grows as the logarithm of the distance.

    Example:
        >>> from pybuild.llb import construct
        >>> from pybuild.llb.files import MkdirAction
        >>> first = Edge(construct.file(None, [(MkdirAction(path="/a"), None)]))
        >>> second = Edge(construct.file(first, [(MkdirAction(path="/b"), None)]))
        >>> Growth().out_of(second, first), Growth().out_of(first, second)
        (True, False)
    """

    def __init__(self) -> None:
        self._nodes: dict[Key, _Node] = {}

    def out_of(self, upper: Edge, lower: Edge) -> bool:
        """Whether `upper` is `lower`, or grew out of it."""
        wanted = self._node(lower).depth
        key, node = key_of(upper), self._node(upper)
        while node.depth > wanted and node.parent is not None:
            # The jump where it does not go too far, one step down otherwise.
            key = node.jump if self._nodes[node.jump].depth >= wanted else node.parent
            node = self._nodes[key]
        return key == key_of(lower)

    def _node(self, edge: Edge) -> _Node:
        path: list[Edge] = []
        current: Edge | None = edge
        while current is not None and key_of(current) not in self._nodes:
            path.append(current)
            current = _grown_from(current)
        for new in reversed(path):
            self._nodes[key_of(new)] = self._above(key_of(new), None if current is None else key_of(current))
            current = new
        return self._nodes[key_of(edge)]

    def _above(self, key: Key, parent: Key | None) -> _Node:
        """The node of a tree right above `parent`. Jumps of equal length are joined into one of twice the length."""
        if parent is None:
            return _Node(0, None, key)
        below = self._nodes[parent]
        middle = self._nodes[below.jump]
        far = self._nodes[middle.jump]
        same = below.depth - middle.depth == middle.depth - far.depth
        return _Node(below.depth + 1, parent, middle.jump if same else parent)


def _grown_from(edge: Edge) -> Edge | None:
    """The tree that `edge`'s layers lie on; a diff has none of its inputs' lower layers."""
    return None if isinstance(edge.vertex.op, DiffOp) else primary_input(edge)
