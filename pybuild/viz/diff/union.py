"""Both graphs of a comparison as one: the order and numbers of all steps, and all edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pybuild.viz.diff.match import Shape
from pybuild.viz.diff.model import LinkDiff, Status
from pybuild.viz.model import Model

_FIRST: Final = -1


class Numbering:
    """The steps of both graphs in one order: that of the second graph, removed steps after what they stood on.

    Attributes:
        order: for each step its number in the first and in the second graph, None where it is not.
        of_left: the number of a step of the first graph in this order, from 1.
        of_right: the same for the second graph.
    """

    def __init__(self, left: Shape, right: Shape, partner: Mapping[int, int]) -> None:
        taken = {other: number for number, other in partner.items()}
        anchors: dict[int, int] = {}
        for number in range(len(left.vertices)):
            if number not in partner:
                anchors[number] = _anchor(number, left, partner, anchors)
        keys = [((number, 0, 0), (taken.get(number), number)) for number in range(len(right.vertices))]
        removed = [((anchor, 1, number), (number, None)) for number, anchor in anchors.items()]
        self.order: list[tuple[int | None, int | None]] = [
            pair for _, pair in sorted([*keys, *removed], key=lambda item: item[0])
        ]
        self.of_left = {mine: place for place, (mine, _) in enumerate(self.order, 1) if mine is not None}
        self.of_right = {theirs: place for place, (_, theirs) in enumerate(self.order, 1) if theirs is not None}


def _anchor(number: int, left: Shape, partner: Mapping[int, int], anchors: Mapping[int, int]) -> int:
    """The step of the second graph after which a removed one is shown."""
    inputs = [anchors[below] if below in anchors else partner[below] for _, below in left.inputs[number]]
    if inputs:
        return max(inputs)
    users = [partner[user] - 1 for _, user in left.users[number] if user in partner]
    return min(users, default=_FIRST)


def links_of(before: Model, after: Model, numbering: Numbering) -> tuple[LinkDiff, ...]:
    """Every edge of either graph, once."""
    of_left, of_right = numbering.of_left, numbering.of_right
    old = {(of_left[link.source - 1], of_left[link.target - 1], link.kind): link for link in before.links}
    new = {(of_right[link.source - 1], of_right[link.target - 1], link.kind): link for link in after.links}
    found: list[LinkDiff] = []
    for key in sorted({*old, *new}, key=lambda key: (key[1], key[0], key[2])):
        status: Status = "unchanged" if key in old and key in new else "added" if key in new else "removed"
        link = new.get(key) or old[key]
        found.append(LinkDiff(source=key[0], target=key[1], kind=link.kind, label=link.label, status=status))
    return tuple(found)
