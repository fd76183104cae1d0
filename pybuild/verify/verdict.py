"""What a comparison of engines found, as values, as text, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from pybuild.location import Location


@attrs.frozen(kw_only=True)
class Difference:
    """One thing that is not the same.

    Attributes:
        what: a path, `config.Env`, `history[3]`, or `cache: STEP`.
        aspect: what of it: kind, mode, owner, content, link, xattrs, time, presence, value.
        left: what it is on the first engine.
        right: what it is on the other.
        step: the step that made it, "" when that is not known.
        location: its line.
        explained: why this is no difference in meaning, "" when it is one.
    """

    what: str
    aspect: str
    left: str
    right: str
    step: str = ""
    location: Location | None = None
    explained: str = ""


@attrs.frozen(kw_only=True)
class Comparison:
    """Two engines on one definition: how much was the same, and what was not."""

    left: str
    right: str
    paths: int
    steps: int
    differences: tuple[Difference, ...]
    explained: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether everything that is promised is the same."""
        return not self.differences


_SHOWN = 10


def as_text(target: str, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Lines for people: the first difference with the step and line that made it, then the others."""
    for found in comparisons:
        verdict = "agree" if found.equal else "differ"
        yield f"{target}: {found.left} and {found.right} {verdict} ({found.paths} paths, config, {found.steps} steps)"
        for number, difference in enumerate(found.differences[:_SHOWN]):
            yield f"  {_sentence(difference, found)}"
            if number == 0:
                yield from _place(difference)
        if len(found.differences) > _SHOWN:
            yield f"  and {len(found.differences) - _SHOWN} more; --format json has them all"
        for difference in found.explained:
            yield f"  expected: {_sentence(difference, found)}: {difference.explained}"


def _sentence(difference: Difference, found: Comparison) -> str:
    left, right = f"{difference.left} on {found.left}", f"{difference.right} on {found.right}"
    return f"{difference.what}: {difference.aspect} {left}, {right}"


def _place(difference: Difference) -> Iterator[str]:
    if difference.step:
        yield f"    made by: {difference.step}"
    if difference.location is None:
        return
    yield f"    {difference.location}"
    for number, marked, text in difference.location.snippet(1):
        yield f"    {'>>' if marked else '  '} {number} | {text}"


def as_json(target: str, comparisons: Sequence[Comparison]) -> dict[str, object]:
    """The same for programs."""
    return {
        "target": target,
        "equal": all(found.equal for found in comparisons),
        "comparisons": [
            {
                "engines": [found.left, found.right],
                "equal": found.equal,
                "paths": found.paths,
                "steps": found.steps,
                "differences": [_difference(item) for item in found.differences],
                "expected": [_difference(item) for item in found.explained],
            }
            for found in comparisons
        ],
    }


def _difference(item: Difference) -> dict[str, object]:
    made: dict[str, object] = {
        "what": item.what,
        "aspect": item.aspect,
        "values": [item.left, item.right],
        "step": item.step,
        "location": "" if item.location is None else str(item.location),
    }
    return {**made, "reason": item.explained} if item.explained else made
