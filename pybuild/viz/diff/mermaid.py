"""A comparison as a Mermaid flowchart, small enough for what code hosts draw inside Markdown.

GitHub draws at most 500 edges and 50,000 characters; readers give up long before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pybuild.viz.diff.model import FieldChange, GraphDiff, LinkDiff, StepDiff
from pybuild.viz.diff.view import View, view_of
from pybuild.viz.diff.words import cut, place
from pybuild.viz.mermaid import _escape

MOST_STEPS: Final = 60
MOST_LINKS: Final = 400
MOST_TEXT: Final = 30_000
_SHAPES: Final = {"source": ("([", "])"), "exec": ("[", "]"), "file": ("[/", "/]")}
_ARROWS: Final = {"base": "-->", "copy": "-->", "mount": "-.->", "input": "-->"}
_CLASSES: Final = """\
  classDef added fill:#dafbe1,stroke:#1a7f37,color:#1f2328
  classDef removed fill:#ffebe9,stroke:#b3261e,color:#1f2328,stroke-dasharray:4
  classDef changed fill:#fff1b8,stroke:#9a6700,color:#1f2328
  classDef invalidated fill:#fff8f2,stroke:#bc4c00,color:#1f2328
  classDef unchanged fill:#fafbfc,stroke:#d0d7de,color:#6e7781"""
_NAME: Final = 60
_VALUE: Final = 60
_MOST_FIELDS: Final = 3


def to_mermaid(found: GraphDiff) -> str:
    """The comparison as Mermaid text.

    Example:
        >>> to_mermaid(GraphDiff(left="main", right="topic")).splitlines()[0]
        'flowchart TD'
    """
    return "\n".join([*_lines(view_of(found, MOST_STEPS)), ""])


def fits(text: str) -> bool:
    """Whether code hosts draw a flowchart of this text."""
    arrows = sum(text.count(f" {arrow}") for arrow in {*_ARROWS.values(), "-. removed .->"})
    return len(text) <= MOST_TEXT and arrows <= MOST_LINKS


def _lines(view: View) -> Iterator[str]:
    yield "flowchart TD"
    for number, (stage, steps) in enumerate(view.stages.items(), 1):
        if stage:
            yield f'  subgraph s{number}["{_escape(stage)}"]'
        indent = "    " if stage else "  "
        yield from (indent + _node(step) for step in steps)
        if stage:
            yield "  end"
    yield from (f"  {_link(link)}" for link in view.links)
    yield _CLASSES


def _node(step: StepDiff) -> str:
    opening, closing = _SHAPES.get(step.kind, ("{{", "}}"))
    rows = [_escape(f"{step.number}. {cut(step.name, _NAME)}")]
    rows += [f"<small>{_escape(_change(change))}</small>" for change in step.fields[:_MOST_FIELDS]]
    if len(step.fields) > _MOST_FIELDS:
        rows.append(f"<small>and {len(step.fields) - _MOST_FIELDS} more</small>")
    if step.files:
        count = len(step.files)
        rows.append(f"<small>{count} file{'s' if count > 1 else ''} changed</small>")
    if where := place(step):
        rows.append(f"<small>{_escape(where)}</small>")
    return f'v{step.number}{opening}"{"<br>".join(rows)}"{closing}:::{step.status}'


def _change(change: FieldChange) -> str:
    if change.field == "command":
        return f"was: {cut(change.before or '', _VALUE)}"
    if change.before is None:
        return f"+ {change.field}: {cut(change.after or '', _VALUE)}"
    if change.after is None:
        return f"− {change.field}: {cut(change.before, _VALUE)}"
    return f"{change.field}: {cut(change.before, _VALUE // 2)} → {cut(change.after, _VALUE // 2)}"


def _link(link: LinkDiff) -> str:
    arrow = "-. removed .->" if link.status == "removed" else "==>" if link.status == "added" else _ARROWS[link.kind]
    return f"v{link.source} {arrow} v{link.target}"
