"""A comparison as Markdown for a comment on a pull request: one line that says it all, a drawing, folded details.

The text stays below what code hosts take as one comment (65,536 characters), with what had to go said at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from pybuild.viz.diff.mermaid import fits, to_mermaid
from pybuild.viz.diff.model import FieldChange, GraphDiff, Status, StepDiff, Version
from pybuild.viz.diff.view import by_stage
from pybuild.viz.diff.words import FILE_MARKS, cut, lines_of, note_of, place, reason

LIMIT: Final = 60_000
MARKER: Final = "<!-- pybuild graph --diff -->"
"""The first line, by which a program finds its earlier comment."""
_SIGNS: Final[dict[Status, str]] = {
    "added": "🟢",
    "removed": "🔴",
    "changed": "🟡",
    "invalidated": "🟠",
    "unchanged": "⚪",
}
_WORDS: Final[dict[Status, str]] = {
    "added": "added",
    "removed": "removed",
    "changed": "changed",
    "invalidated": "run again",
    "unchanged": "unchanged",
}
_MOST_FILES: Final = 20
_NAME: Final = 90


def to_markdown(found: GraphDiff) -> str:
    """The comparison as Markdown.

    Example:
        >>> print(to_markdown(GraphDiff(left="main", right="topic")).splitlines()[2])
        **Build graph**: no difference
    """
    parts = [*_head(found)]
    drawing = to_mermaid(found)
    if not found.is_empty:
        if fits(drawing):
            parts.append(f"```mermaid\n{drawing}```")
        else:
            parts.append("*The graph is too large to be drawn here; `--format svg` or `html` shows all of it.*")
    size = sum(len(part) + 2 for part in parts)
    touched = list(found.of("added", "removed", "changed", "invalidated"))
    if touched:
        parts += _details(touched, LIMIT - size)
    if found.config:
        parts += ["<details open><summary>Image config</summary>", *_config(found.config), "</details>"]
    return "\n\n".join(parts) + "\n"


def _head(found: GraphDiff) -> Iterator[str]:
    yield MARKER
    title = f"**Build graph of {_code(found.target)}**" if found.target else "**Build graph**"
    if found.is_empty:
        yield f"{title}: {found.summary}"
    else:
        counts = [f"{_SIGNS[status]} {count} {_WORDS[status]}" for status, count in found.counts.items() if count]
        counts += ["🟡 image config"] if found.config else []
        yield f"{title}: {' · '.join(counts)}"
    yield f"{_code(found.left)} → {_code(found.right)}"
    if found.notes:
        yield "\n".join(f"> {_plain(note)}" for note in found.notes)


def _details(steps: Sequence[StepDiff], room: int) -> Iterator[str]:
    """What happens to each step, as much as there is room for."""
    yield f"<details><summary>{len(steps)} step{'s' if len(steps) > 1 else ''} in detail</summary>"
    left = len(steps)
    for stage, members in by_stage(steps).items():
        heading = f"#### {_plain(stage)}" if stage else "#### (no target)"
        shown: list[str] = []
        for step in members:
            text = "\n\n".join(_step(step))
            room -= len(text) + 2
            if room < len(heading) + 200:
                break
            shown.append(text)
        if shown:
            room -= len(heading) + 2
            yield heading
            yield from shown
        left -= len(shown)
    if left:
        yield f"*{left} more steps; `--format text` lists all of them.*"
    yield "</details>"


def _step(step: StepDiff) -> Iterator[str]:
    facts = [_SIGNS[step.status], f"**{step.number}.**", _code(cut(step.name, _NAME)), _word(step)]
    where = place(step)
    facts += [f"<sub>{escape(where)}</sub>"] if where else []
    yield " ".join(facts)
    if step.fields:
        yield _fence(_fields(step.fields), "diff")
    if step.files:
        lines = [f"{FILE_MARKS[file.status]} {file.path}" for file in step.files[:_MOST_FILES]]
        lines += [f"and {len(step.files) - _MOST_FILES} more"] if len(step.files) > _MOST_FILES else []
        yield _fence(lines)
    if step.status == "added" and step.after is not None and step.after.snippet:
        yield _fence(_snippet(step.after), "python")


def _word(step: StepDiff) -> str:
    why = reason(step)
    if step.status == "invalidated":
        return f"runs again {why}"
    return f"{step.status}, and runs again {why}" if why else step.status


def _snippet(version: Version) -> list[str]:
    lines = version.snippet.splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[indent:] for line in lines[:10]]


def _fields(fields: Sequence[FieldChange]) -> Iterator[str]:
    for change in fields:
        yield f"@@ {change.field}{note_of(change)} @@"
        yield from (f"{mark} {line}" for mark, line in lines_of(change))


def _config(fields: Sequence[FieldChange]) -> Iterator[str]:
    yield _fence(_fields(fields), "diff")


def _fence(lines: Iterator[str] | Sequence[str], language: str = "") -> str:
    """A block of code that nothing in it can end."""
    text = "\n".join(lines)
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _code(text: str) -> str:
    """Inline code, whatever is in it."""
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _plain(text: str) -> str:
    """Text that Markdown leaves alone."""
    return re.sub(r"([\\`*_{}\[\]<>#|~@])", r"\\\1", text)
