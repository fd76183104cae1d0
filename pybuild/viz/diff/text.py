"""A comparison as text for a terminal: every step that a change touches, and why.

app: main (1f2e3d4c5b) → work tree
1 changed, 1 invalidated, 2 unchanged

app
  ~ 3  pip install -r requirements.txt        Buildfile.py:8 → Buildfile.py:9
         command
           - pip install flask
           + pip install -r requirements.txt
  ! 4  make                                   Buildfile.py:10
         because of 3
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pybuild.viz.diff.model import FieldChange, GraphDiff, StepDiff
from pybuild.viz.diff.view import by_stage
from pybuild.viz.diff.words import FILE_MARKS, MARKS, cut, heading, lines_of, note_of, place, reason

_WIDTH: Final = 60
_MOST_FILES: Final = 20


def to_text(found: GraphDiff) -> str:
    """The comparison as text.

    Example:
        >>> print(to_text(GraphDiff(left="main", right="topic")))
        main → topic
        no difference
    """
    return "\n".join(_lines(found))


def _lines(found: GraphDiff) -> Iterator[str]:
    yield heading(found)
    yield found.summary
    yield from (f"note: {note}" for note in found.notes)
    digits = len(str(len(found.steps)))
    touched = list(found.of("added", "removed", "changed", "invalidated"))
    for stage, steps in by_stage(touched).items():
        yield f"\n{stage or '(no target)'}"
        for step in steps:
            name = cut(step.name, _WIDTH)
            yield f"  {MARKS[step.status]} {step.number:{digits}}  {name:{_WIDTH}}  {place(step)}".rstrip()
            yield from (f"    {'':{digits}}  {line}".rstrip() for line in _details(step))
    if found.config:
        yield "\nimage config"
        yield from (f"  {line}" for line in _fields(found.config))


def _details(step: StepDiff) -> Iterator[str]:
    yield from _fields(step.fields)
    if step.files:
        yield "files"
        for file in step.files[:_MOST_FILES]:
            yield f"  {FILE_MARKS[file.status]} {file.path}"
        if len(step.files) > _MOST_FILES:
            yield f"  and {len(step.files) - _MOST_FILES} more"
    if step.because:
        yield f"runs again {reason(step)}"


def _fields(fields: Sequence[FieldChange]) -> Iterator[str]:
    for change in fields:
        yield f"{change.field}{note_of(change)}"
        yield from (f"  {mark} {line}" for mark, line in lines_of(change))
