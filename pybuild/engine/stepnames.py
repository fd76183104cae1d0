"""Which step somebody means: by number, digest, target, name or line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from pybuild.errors import TargetError
from pybuild.llb.vertex import Graph, Vertex
from pybuild.location import Location, display_path
from pybuild.solver.report import title
from pybuild.values import Value

STAGE: Final = "pybuild.stage"
_LISTED: Final = 40
_NAME: Final = 72
_FORMS: Final = "name a step by its number, the start of its digest, its target, its line (:12), or a part of its name"


@attrs.frozen(kw_only=True)
class StepName(Value):
    """What a step is called: its position from 1, its digest, how progress calls it, its target, and its lines."""

    number: int
    digest: str
    name: str
    stage: str = ""
    places: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The name on one line of a table."""
        return one_line(self.name)

    @property
    def place(self) -> str:
        """The line that wrote it, or ""."""
        return self.places[0] if self.places else ""


def names_of(graph: Graph) -> list[StepName]:
    """The names of all steps, in topological order."""
    return [_name_of(number, vertex) for number, vertex in enumerate(graph.vertices, 1)]


def _name_of(number: int, vertex: Vertex) -> StepName:
    named = re.match(r"\[(\S+)(?: \d+/\d+)?\] ", vertex.metadata.name)
    return StepName(
        number=number,
        digest=vertex.digest,
        name=title(vertex),
        stage=dict(vertex.metadata.description).get(STAGE, "") or (named[1] if named else ""),
        places=tuple(place_of(location) for location in vertex.locations),
    )


def place_of(location: Location) -> str:
    """A place as `FILE:LINE`."""
    return f"{display_path(location.file)}:{location.line}"


def find_step(steps: Sequence[StepName], text: str) -> StepName:
    """The one step that `text` means.

    Args:
        steps: of one build.
        text: a number, the start of a digest, a target (its last step), FILE:LINE or :LINE (the last step written
            there), a name, or a part of one.

    Raises:
        TargetError: there is no such step, or several; lists those that there are.

    Example:
        >>> made = [StepName(number=1, digest="", name="fetch"), StepName(number=2, digest="", name="make all")]
        >>> find_step(made, "make").number, find_step(made, "1").name
        (2, 'fetch')
    """
    found = matching(steps, text) if text else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise TargetError(f'there is no step "{text}"', hint=f"{_FORMS}:\n{_listing(steps)}")
    raise TargetError(f'{len(found)} steps are called "{text}"', hint=f"{_FORMS}:\n{_listing(found)}")


def matching(steps: Sequence[StepName], text: str) -> list[StepName]:
    """The steps that `text` can mean, by the first form of `find_step` that fits any."""
    if text.isdigit():
        return [step for step in steps if step.number == int(text)]
    if stage := [step for step in steps if step.stage == text]:
        return stage[-1:]
    tests: list[Callable[[StepName], bool]] = [
        lambda step: text in (step.name, step.name.partition("] ")[2]),
        lambda step: _has_digest(step, text),
    ]
    for test in tests:
        if found := [step for step in steps if test(step)]:
            return found
    there = [step for step in steps if is_at(step.places, text)]
    return there[-1:] or [step for step in steps if text in step.name]


def is_at(places: Sequence[str], text: str) -> bool:
    """Whether one of the places is the one that `FILE:LINE` says, or `:LINE` of any file.

    Example:
        >>> is_at(["sub/Buildfile.py:12"], ":12"), is_at(["sub/Buildfile.py:12"], "Buildfile.py:1")
        (True, False)
    """
    return re.search(r":\d+$", text) is not None and any(place.endswith(text) for place in places)


def _has_digest(step: StepName, text: str) -> bool:
    if text.startswith("sha256:"):
        return step.digest.startswith(text)
    return re.fullmatch("[0-9a-f]{4,64}", text) is not None and step.digest.partition(":")[2].startswith(text)


def one_line(name: str, limit: int = _NAME) -> str:
    """A step's name in a table."""
    text = " ".join(name.partition("@sha256:")[0].split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _listing(steps: Sequence[StepName]) -> str:
    lines = [f"{step.number:>4}  {step.line}" + (f"  ({step.place})" if step.place else "") for step in steps[:_LISTED]]
    if len(steps) > _LISTED:
        lines.append(f"      and {len(steps) - _LISTED} more")
    return "\n".join(lines)
