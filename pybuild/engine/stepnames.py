"""Which step somebody means: by number, digest, target, name or line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from pybuild.errors import TargetError
from pybuild.llb.vertex import Graph, Vertex
from pybuild.location import display_path
from pybuild.solver.report import title

STAGE: Final = "pybuild.stage"
_LISTED: Final = 40
_NAME: Final = 72
_FORMS: Final = "name a step by its number, the start of its digest, its target, its line (:12), or a part of its name"


def find_step(graph: Graph, text: str) -> Vertex:
    """The one step that `text` means.

    Args:
        graph: as it is solved.
        text: a number of `listed`, the start of a digest, a target (its last step), FILE:LINE or :LINE (the last step
            written there), a name, or a part of one.

    Raises:
        TargetError: there is no such step, or several; lists those that there are.
    """
    steps = graph.vertices
    found = matching(steps, text) if text else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise TargetError(f'there is no step "{text}"', hint=f"{_FORMS}:\n{_listing(steps, steps)}")
    raise TargetError(f'{len(found)} steps are called "{text}"', hint=f"{_FORMS}:\n{_listing(steps, found)}")


def matching(steps: Sequence[Vertex], text: str) -> list[Vertex]:
    """The steps that `text` can mean, by the first form of `find_step` that fits any."""
    if text.isdigit():
        return [steps[int(text) - 1]] if 0 < int(text) <= len(steps) else []
    stage = [vertex for vertex in steps if stage_of(vertex) == text]
    if stage:
        return stage[-1:]
    tests: list[Callable[[Vertex], bool]] = [
        lambda vertex: text in (vertex.name, title(vertex)),
        lambda vertex: _has_digest(vertex, text),
    ]
    for test in tests:
        if found := [vertex for vertex in steps if test(vertex)]:
            return found
    there = [vertex for vertex in steps if is_at(vertex, text)]
    return there[-1:] or [vertex for vertex in steps if text in title(vertex)]


def stage_of(vertex: Vertex) -> str:
    """The target or stage that a step belongs to, or ""."""
    named = re.match(r"\[(\S+)(?: \d+/\d+)?\] ", vertex.metadata.name)
    return dict(vertex.metadata.description).get(STAGE, "") or (named[1] if named else "")


def is_at(vertex: Vertex, text: str) -> bool:
    """Whether a step was written at `FILE:LINE`, or at `:LINE` of any file."""
    name, colon, line = text.rpartition(":")
    return bool(colon) and any(
        str(place.line) == line and display_path(place.file).endswith(name) for place in vertex.locations
    )


def _has_digest(vertex: Vertex, text: str) -> bool:
    if text.startswith("sha256:"):
        return vertex.digest.startswith(text)
    return re.fullmatch("[0-9a-f]{4,64}", text) is not None and vertex.digest.partition(":")[2].startswith(text)


def listed(steps: Sequence[Vertex]) -> list[tuple[str, str, str]]:
    """Number, name and place of every step."""
    return [(str(number), one_line(title(vertex)), place_of(vertex)) for number, vertex in enumerate(steps, 1)]


def one_line(name: str, limit: int = _NAME) -> str:
    """A step's name in a table."""
    text = " ".join(name.partition("@sha256:")[0].split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def place_of(vertex: Vertex) -> str:
    """Where a step was written, or ""."""
    return str(vertex.locations[0]) if vertex.locations else ""


def _listing(steps: Sequence[Vertex], shown: Sequence[Vertex]) -> str:
    wanted = {id(vertex) for vertex in shown}
    rows = [row for row, vertex in zip(listed(steps), steps, strict=True) if id(vertex) in wanted]
    lines = [f"{number:>4}  {name}" + (f"  ({place})" if place else "") for number, name, place in rows[:_LISTED]]
    if len(rows) > _LISTED:
        lines.append(f"      and {len(rows) - _LISTED} more")
    return "\n".join(lines)
