"""What of a comparison is drawn: all of a small one; of a large one, what a change touches and what that stands on."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pybuild.viz.diff.model import GraphDiff, LinkDiff, StepDiff


@attrs.frozen(kw_only=True)
class View:
    """The steps and links to draw, by stage in order of first appearance, and how many steps are left out."""

    steps: tuple[StepDiff, ...]
    links: tuple[LinkDiff, ...]
    hidden: int

    @property
    def stages(self) -> dict[str, list[StepDiff]]:
        """Steps by stage."""
        return by_stage(self.steps)


def by_stage(steps: Sequence[StepDiff]) -> dict[str, list[StepDiff]]:
    """Steps by stage, in the order of first appearance; "" holds those of none."""
    found: dict[str, list[StepDiff]] = {}
    for step in steps:
        found.setdefault(step.stage, []).append(step)
    return found


def view_of(found: GraphDiff, limit: int) -> View:
    """What to draw.

    Args:
        found: the comparison.
        limit: how many steps may be drawn at most.

    Returns:
        everything; where that is too much, what is not unchanged with the steps that it directly takes something
        from; then without these; then without what is only invalidated. What is still too much is drawn all the same.
    """
    every = {step.number for step in found.steps}
    if len(every) <= limit:
        return _only(found, every)
    touched = {step.number for step in found.steps if step.status != "unchanged"}
    beside = {link.source for link in found.links if link.target in touched}
    if len(touched | beside) <= limit:
        return _only(found, touched | beside)
    if len(touched) <= limit:
        return _only(found, touched)
    return _only(found, {step.number for step in found.steps if step.status not in ("unchanged", "invalidated")})


def _only(found: GraphDiff, numbers: set[int]) -> View:
    return View(
        steps=tuple(step for step in found.steps if step.number in numbers),
        links=tuple(link for link in found.links if link.source in numbers and link.target in numbers),
        hidden=len(found.steps) - len(numbers),
    )
