"""What all forms of a comparison say in words: marks, places, reasons, and how two values differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import unified_diff
from typing import Final

from pybuild.viz.diff.model import FieldChange, FileChange, GraphDiff, Status, StepDiff

MARKS: Final[dict[Status, str]] = {
    "added": "+",
    "removed": "-",
    "changed": "~",
    "invalidated": "!",
    "unchanged": " ",
}
FILE_MARKS: Final = {"added": "A", "removed": "D", "modified": "M"}
_CONTEXT: Final = 2


def heading(found: GraphDiff) -> str:
    """What was compared.

    Example:
        >>> heading(GraphDiff(left="main", right="topic", target="app"))
        'app: main → topic'
    """
    sides = f"{found.left} → {found.right}"
    return f"{found.target}: {sides}" if found.target else sides


def place(step: StepDiff) -> str:
    """The user's line; both lines when the step has moved."""
    before = step.before.place if step.before else ""
    after = step.after.place if step.after else ""
    if before and after and before != after:
        file, _, line = after.rpartition(":")
        return f"{before} → {line if before.rpartition(':')[0] == file else after}"
    return after or before


def reason(step: StepDiff) -> str:
    """Why a step runs again, if it does for something outside of itself."""
    if not step.because:
        return ""
    numbers = join([str(number) for number in step.because])
    return f"if what {numbers} makes is different" if step.by_content else f"because of {numbers}"


def join(words: Sequence[str]) -> str:
    """Words as in a sentence.

    Example:
        >>> join(["1", "2", "3"])
        '1, 2 and 3'
    """
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def lines_of(change: FieldChange) -> Iterator[tuple[str, str]]:
    """A changed field as lines marked `-`, `+`, or " " for what surrounds them in a longer text."""
    before = (change.before or "").split("\n") if change.before is not None else []
    after = (change.after or "").split("\n") if change.after is not None else []
    if max(len(before), len(after)) <= 1:
        yield from (("-", line) for line in before)
        yield from (("+", line) for line in after)
        return
    for line in list(unified_diff(before, after, lineterm="", n=_CONTEXT))[2:]:
        yield (line[0], line[1:]) if line[0] in "+- " else (" ", "…")


def note_of(change: FieldChange) -> str:
    """What to say of a field besides its values."""
    return "" if change.reruns else " (runs nothing again)"


def files_text(files: Sequence[FileChange], limit: int) -> str:
    """Changed files in one line.

    Example:
        >>> files_text([FileChange(path="a", status="added"), FileChange(path="b", status="modified")], 1)
        'A a and 1 more'
    """
    shown = [f"{FILE_MARKS[file.status]} {file.path}" for file in files[:limit]]
    more = f" and {len(files) - limit} more" if len(files) > limit else ""
    return ", ".join(shown) + more


def cut(text: str, limit: int) -> str:
    """One line of a text, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
