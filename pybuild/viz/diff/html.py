"""A comparison as one self-contained page: the drawing when graphviz is there, and every step with both versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from pybuild.viz.diff.dot import to_dot
from pybuild.viz.diff.model import FieldChange, GraphDiff, StepDiff
from pybuild.viz.diff.words import FILE_MARKS, heading, lines_of, note_of, place, reason
from pybuild.viz.html import _SCRIPT, _STYLE
from pybuild.viz.render import can_render, render

_OWN_STYLE: Final = """
article.added { border-left: 4px solid #1a7f37; } article.removed { border-left: 4px solid #b3261e; }
article.changed { border-left: 4px solid #bf8700; } article.invalidated { border-left: 4px solid #bc4c00; }
article.unchanged { color: #6e7781; }
.added .state { background: #dafbe1; } .removed .state { background: #ffebe9; }
.changed .state { background: #fff1b8; } .invalidated .state { background: #ffe8d6; }
del { background: #ffebe9; text-decoration: none; display: block; }
ins { background: #dafbe1; text-decoration: none; display: block; }
"""


def to_html(found: GraphDiff) -> str:
    """The comparison as a page that needs nothing else."""
    steps = "\n".join(_step(step) for step in found.steps)
    config = f'<article class="changed"><h2>image config</h2>{_fields(found.config)}</article>' if found.config else ""
    notes = "".join(f"<p>{escape(note)}</p>" for note in found.notes)
    title = escape(heading(found))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}{_OWN_STYLE}</style></head>\n<body><header><strong>{title}</strong> "
        f"{escape(found.summary)}{notes}</header>\n<main>{_picture(found)}"
        f'<div id="steps">\n{config}{steps}\n</div></main><script>{_SCRIPT}</script></body></html>\n'
    )


def _picture(found: GraphDiff) -> str:
    if not can_render() or not found.steps:
        return ""
    svg = render(to_dot(found), "svg").decode()
    return f'<div id="drawing">{svg[svg.index("<svg") :]}</div>'


def _step(step: StepDiff) -> str:
    why = reason(step)
    facts = ", ".join(
        part
        for part in (
            step.kind,
            f"stage {step.stage}" if step.stage else "",
            place(step),
            f"runs again {why}" if why else "",
        )
        if part
    )
    files = "".join(f"<div>{FILE_MARKS[file.status]} {escape(file.path)}</div>" for file in step.files)
    return (
        f'<article id="v{step.number}" class="{step.status}"><span class="state">{step.status}</span>'
        f"<h2>{step.number}. {escape(step.name)}</h2><p>{escape(facts)}</p>{_fields(step.fields)}"
        f"{f'<pre>{files}</pre>' if files else ''}{''.join(_snippets(step))}</article>"
    )


def _fields(fields: Sequence[FieldChange]) -> str:
    parts: list[str] = []
    for change in fields:
        lines = "".join(_line(mark, line) for mark, line in lines_of(change))
        parts.append(f"<p>{escape(change.field + note_of(change))}</p><pre>{lines}</pre>")
    return "".join(parts)


def _line(mark: str, line: str) -> str:
    tag = {"-": "del", "+": "ins"}.get(mark, "span")
    return f"<{tag}>{mark} {escape(line)}</{tag}>"


def _snippets(step: StepDiff) -> Iterator[str]:
    texts = [version.snippet for version in (step.before, step.after) if version is not None and version.snippet]
    if step.status in ("changed", "added", "removed"):
        yield from (f"<pre>{escape(text)}</pre>" for text in dict.fromkeys(texts))
