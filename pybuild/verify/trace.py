"""Which step it was: from where a difference is seen, back to the step that made it.

A file that a copy brought along, or a merge, or that a step made from what is mounted in it, differs because of what
went into that step. So the inputs are compared as images of their own, and of an input that differs its inputs, until
a step is found whose inputs are all the same. Everything has been built by then, so engines only export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pybuild.llb.ops import DiffOp, SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.verify.compare import Makers, Outcome, compare

_STEPS: Final = 50
"""How far to go back at most."""

Differ = Callable[[Edge], tuple[Outcome, Outcome] | None]


def first_maker(head: Edge | None, differ: Differ) -> Vertex | None:
    """The step that made the first difference of a result.

    Args:
        head: the result.
        differ: builds an edge on both engines; None when its files are the same.

    Returns:
        None when the result does not differ after all, or a source does.
    """
    found: Vertex | None = None
    current = head
    for _ in range(_STEPS):
        pair = differ(current) if current is not None else None
        if pair is None or current is None:
            break
        found, makers = _maker(current, pair)
        if found is None:
            break
        current = next((edge for edge in _steps(makers.others(found)) if differ(edge) is not None), None)
    return found


def _steps(edges: Sequence[Edge]) -> Iterator[Edge]:
    """Inputs that can be looked at: a difference between trees is no image, but the trees are."""
    pending = list(reversed(edges))
    while pending:
        edge = pending.pop()
        if isinstance(edge.vertex.op, DiffOp):
            pending += reversed(edge.vertex.inputs)
        elif not isinstance(edge.vertex.op, SourceOp):
            yield edge


def _maker(edge: Edge, pair: tuple[Outcome, Outcome]) -> tuple[Vertex | None, Makers]:
    left, right = pair
    makers = Makers(left.graph or Graph([edge]), left.image.layers)
    first = next(item for item in compare(left, right).differences if item.what.startswith("/"))
    there = left.image.files.get(first.what) or right.image.files[first.what]
    return makers.of(there.layer), makers
