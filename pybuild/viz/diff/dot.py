"""Graphviz DOT text of a comparison: both graphs in one, each step in the colour of what happens to it.

Equal comparisons give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pybuild.viz.diff.model import FieldChange, GraphDiff, LinkDiff, Status, StepDiff
from pybuild.viz.diff.view import View, view_of
from pybuild.viz.diff.words import FILE_MARKS, cut, files_text, heading, lines_of, place
from pybuild.viz.dot import _escape, _faint, _quote, _wrapped

_SANS: Final = "Helvetica,Arial,sans-serif"
_MONO: Final = "DejaVu Sans Mono,Menlo,Consolas,monospace"
_TEXT: Final = "#1f2328"
_FAINT: Final = "#5f6670"
_RED: Final = "#b3261e"
_GREEN: Final = "#1a7f37"
# Border, fill, style and text colour.
_LOOKS: Final[dict[Status, tuple[str, str, str, str]]] = {
    "added": ("#1a7f37", "#dafbe1", "rounded,filled", _TEXT),
    "removed": ("#b3261e", "#ffebe9", "rounded,filled,dashed", _TEXT),
    "changed": ("#9a6700", "#fff1b8", "rounded,filled", _TEXT),
    "invalidated": ("#bc4c00", "#fff8f2", "rounded,filled", _TEXT),
    "unchanged": ("#d0d7de", "#fafbfc", "rounded,filled", "#6e7781"),
}
_EDGES: Final[dict[Status, str]] = {
    "added": 'color="#1a7f37", penwidth=1.8',
    "removed": 'color="#b3261e", penwidth=1.4, style=dashed, constraint=false',
    "unchanged": 'color="#9aa3ad", penwidth=1.1',
}
_WORDS: Final[dict[Status, str]] = {
    "added": "added",
    "removed": "removed",
    "changed": "changed",
    "invalidated": "runs again",
    "unchanged": "unchanged",
}
_COUNTED: Final[dict[Status, str]] = {"invalidated": "run again"}
_LEGEND: Final[dict[Status, str]] = {"unchanged": "#8a9099"}
_MOST_STEPS: Final = 60
_MOST_FIELDS: Final = 4
_MOST_FILES: Final = 4
_MOST_LINES: Final = 6
_WIDTH: Final = 56
_HEADER: Final = f"""\
digraph review {{
  rankdir=TB; ranksep=0.4; nodesep=0.35; bgcolor="white"; newrank=true;
  fontname="{_SANS}"; fontsize=11; fontcolor="{_FAINT}";
  node [shape=box, fontname="{_SANS}", fontsize=11, fontcolor="{_TEXT}", margin="0.12,0.06"];
  edge [arrowsize=0.6, fontname="{_SANS}", fontsize=9, fontcolor="{_FAINT}"];"""


def to_dot(found: GraphDiff) -> str:
    """The comparison as DOT text.

    Example:
        >>> to_dot(GraphDiff(left="main", right="topic")).splitlines()[0]
        'digraph review {'
    """
    return "\n".join([*_lines(found, view_of(found, _MOST_STEPS)), "}", ""])


def _lines(found: GraphDiff, view: View) -> Iterator[str]:
    yield _HEADER
    yield f"  labelloc=t; labeljust=l; label=<{_caption(found, view)}>;"
    for number, (stage, steps) in enumerate(view.stages.items(), 1):
        indent = "    " if stage else "  "
        if stage:
            yield f"  subgraph cluster_{number} {{"
            yield (
                f"    label=<<b>{_escape(stage)}</b>>; labeljust=l; margin=10; "
                'style="rounded,filled"; fillcolor="#ffffff"; color="#d0d7de";'
            )
        yield from (indent + _node(step) for step in steps)
        if stage:
            yield "  }"
    yield from (f"  {_link(link)}" for link in view.links)
    if found.config:
        rows = [f'<font point-size="9" color="{_FAINT}"><b>image config</b></font>', *_fields(found.config)]
        yield f'  config [label=<{_table(rows)}>, style="rounded,filled", fillcolor="#fff1b8", color="#9a6700"];'


def _caption(found: GraphDiff, view: View) -> str:
    title = f'<font point-size="13" color="{_TEXT}"><b>{_escape(heading(found))}</b></font>'
    squares = [
        f'<font color="{_LEGEND.get(status, _LOOKS[status][0])}">■ {count} {_COUNTED.get(status, status)}</font>'
        for status, count in found.counts.items()
        if count
    ]
    if view.hidden:
        squares.append(_faint(f"({view.hidden} steps not drawn)"))
    notes = "".join(f'<br align="left"/>{_faint(note)}' for note in found.notes)
    legend = "   ".join(squares) or "no steps"
    return f'{title}<br align="left"/><font point-size="11">{legend}</font>{notes}<br align="left"/>'


def _node(step: StepDiff) -> str:
    border, fill, style, color = _LOOKS[step.status]
    rows = [_title(step, color), *_fields(step.fields)]
    rows += [_mono(cut(f"{FILE_MARKS[f.status]} {f.path}", _WIDTH), _TEXT) for f in step.files[:_MOST_FILES]]
    if len(step.files) > _MOST_FILES:
        rows.append(_faint(f"and {len(step.files) - _MOST_FILES} more files"))
    word = "" if step.status == "unchanged" else f'<font point-size="9" color="{border}"><b>{_status(step)}</b></font>'
    rows.append("  ·  ".join(part for part in (_faint(place(step)), word) if part))
    tooltip = _quote(_tooltip(step))
    width = "1" if step.status == "unchanged" else "1.6"
    return (
        f'v{step.number} [label=<{_table(rows)}>, style="{style}", fillcolor="{fill}", color="{border}", '
        f"penwidth={width}, tooltip={tooltip}];"
    )


def _status(step: StepDiff) -> str:
    if step.status == "invalidated" and step.by_content:
        return "may run again"
    return _WORDS[step.status]


def _tooltip(step: StepDiff) -> str:
    parts = [f"{version.place}\n{version.snippet}" for version in (step.before, step.after) if version is not None]
    return "\n".join(dict.fromkeys(parts)) + ("\n" + files_text(step.files, 20) if step.files else "")


def _title(step: StepDiff, color: str) -> str:
    # Both texts of a changed command are shown below, so one of them here would be one too many.
    named = step.before is None or step.before.name == step.name or not any(f.field == "command" for f in step.fields)
    if not named:
        return _faint(f"{step.number}.")
    lines = _wrapped(step.name)
    text = "<br/>".join(_escape(line) for line in lines) or " "
    bold = f"<b>{text}</b>" if step.kind != "exec" else text
    face = f' face="{_MONO}" point-size="10"' if step.kind == "exec" else ' point-size="10"'
    return f'<font color="{color}"{face}>{step.number}. {bold}</font>'


def _fields(fields: Sequence[FieldChange]) -> Iterator[str]:
    for change in fields[:_MOST_FIELDS]:
        yield _faint(f"{change.field}:")
        lines = list(lines_of(change))
        for mark, line in lines[:_MOST_LINES]:
            color = _RED if mark == "-" else _GREEN if mark == "+" else _FAINT
            yield _mono(f"{mark.replace('-', '−')} {cut(line, _WIDTH)}", color)
        if len(lines) > _MOST_LINES:
            yield _faint(f"and {len(lines) - _MOST_LINES} more lines")
    if len(fields) > _MOST_FIELDS:
        yield _faint(f"and {len(fields) - _MOST_FIELDS} more fields")


def _mono(text: str, color: str) -> str:
    return f'<font face="{_MONO}" point-size="9" color="{color}">{_escape(text)}</font>'


def _table(rows: Sequence[str]) -> str:
    cells = "".join(f'<tr><td align="left" balign="left">{row}</td></tr>' for row in rows if row)
    return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{cells}</table>'


def _link(link: LinkDiff) -> str:
    dashed = ", style=dashed" if link.kind == "mount" and link.status != "removed" else ""
    label = f", label={_quote('  ' + cut(link.label, 30))}" if link.label and link.kind == "mount" else ""
    return f"v{link.source} -> v{link.target} [{_EDGES[link.status]}{dashed}{label}];"
