"""Graphviz DOT text: stages as clusters, the user's line in each node, states and times after a build.

Equal models give equal bytes. Nothing here needs graphviz; `render.py` calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pybuild.viz.model import STATE_WORDS, EdgeKind, Link, Model, Node, NodeKind, time_text

_SANS: Final = "Helvetica,Arial,sans-serif"
_MONO: Final = "DejaVu Sans Mono,Menlo,Consolas,monospace"
_TEXT: Final = "#24292f"
_FAINT: Final = "#5f6670"

# Border, fill and word of the legend, by kind.
_KINDS: Final[dict[NodeKind, tuple[str, str, str]]] = {
    "source": ("#5b8ac4", "#e8f1fc", "source"),
    "exec": ("#6e7681", "#ffffff", "run"),
    "file": ("#7fa86a", "#f0f8ea", "file"),
    "merge": ("#9a7bb0", "#f6eefb", "merge"),
    "diff": ("#9a7bb0", "#f6eefb", "diff"),
    "build": ("#c29a3f", "#fdf4df", "build"),
    "passthrough": ("#9e9e9e", "#f6f6f6", "passthrough"),
}
# Border and fill by what a build did with the step, which then matters more.
_STATES: Final = {
    "done": ("#2e8540", "#e9f6ec"),
    "cached": ("#8a9099", "#f4f5f6"),
    "failed": ("#c62828", "#fdeaea"),
    "canceled": ("#b26a00", "#fff5e3"),
    "skipped": ("#b8bdc4", "#fcfcfc"),
}
_EDGES: Final[dict[EdgeKind, tuple[str, str]]] = {
    "base": ('color="#6e7681", penwidth=1.8', '<font color="#6e7681">━━ base</font>'),
    "copy": ('color="#7fa86a", penwidth=1.2', '<font color="#7fa86a">── copy</font>'),
    "mount": ('color="#5b8ac4", penwidth=1.2, style=dashed', '<font color="#5b8ac4">╌╌ mount</font>'),
    "input": ('color="#9a7bb0", penwidth=1.2', '<font color="#9a7bb0">── input</font>'),
}
# Between the drawing and its legend.
_GAP: Final = '<font point-size="4"> </font><br align="left"/>'
_WIDTH: Final = 44
_MAX_LINES: Final = 4
_HEADER: Final = f"""\
digraph pybuild {{
  rankdir=TB; ranksep=0.4; nodesep=0.35; bgcolor="white"; newrank=true;
  fontname="{_SANS}"; fontsize=11; fontcolor="{_FAINT}";
  node [shape=box, style="rounded,filled", fontname="{_SANS}", fontsize=11, fontcolor="{_TEXT}", margin="0.12,0.06"];
  edge [arrowsize=0.6, fontname="{_SANS}", fontsize=9, fontcolor="{_FAINT}"];"""


def to_dot(model: Model) -> str:
    """The model as DOT text.

    Example:
        >>> to_dot(Model(nodes=(), links=(), heads=())).splitlines()[0]
        'digraph pybuild {'
    """
    return "\n".join([*_lines(model), "}", ""])


def _lines(model: Model) -> Iterator[str]:
    yield _HEADER
    heads = set(model.heads)
    for number, (stage, nodes) in enumerate(model.stages.items(), 1):
        if stage:
            yield f"  subgraph cluster_{number} {{"
            yield (
                f"    label=<<b>{_escape(stage)}</b>>; labeljust=l; margin=10; "
                'style="rounded,filled"; fillcolor="#fafbfc"; color="#d0d7de";'
            )
        indent = "    " if stage else "  "
        yield from (indent + _node(node, is_head=node.number in heads) for node in nodes)
        if stage:
            yield "  }"
    yield from (f"  {_link(link, model.nodes[link.target - 1])}" for link in model.links)
    if model.nodes:
        yield f"  labelloc=b; labeljust=l; label=<{_legend(model)}>;"


def _node(node: Node, *, is_head: bool) -> str:
    border, fill = _STATES.get(node.state) or _KINDS[node.kind][:2]
    rows = [_title(node)]
    rows += [_faint(f"{what}  {path}") for path, what in node.mounts]
    rows.append("  ·  ".join(part for part in (_faint(node.place), _outcome(node)) if part))
    cells = "".join(f'<tr><td align="left" balign="left">{row}</td></tr>' for row in rows if row)
    label = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{cells}</table>'
    width = ", penwidth=2.4" if is_head else ""
    tooltip = _quote(node.snippet or node.name)
    return f'v{node.number} [label=<{label}>, fillcolor="{fill}", color="{border}"{width}, tooltip={tooltip}];'


def _title(node: Node) -> str:
    text = "<br/>".join(_escape(line) for line in _wrapped(node.name)) or " "
    return (
        f'<font face="{_MONO}" point-size="10">{text}</font>'
        if node.kind == "exec"
        else (f'<font point-size="10"><b>{text}</b></font>')
    )


def _outcome(node: Node) -> str:
    if not node.state:
        return ""
    color = _STATES[node.state][0]
    time = time_text(node.duration)
    text = {"done": time, "failed": f"failed after {time}"}.get(node.state, STATE_WORDS[node.state])
    return f'<font point-size="9" color="{color}"><b>{_escape(text)}</b></font>'


def _link(link: Link, target: Node) -> str:
    said_by_node = link.kind == "copy" and f" {link.label} " in target.name
    label = f", label={_quote('  ' + _cut(link.label, 30))}" if link.label and not said_by_node else ""
    return f"v{link.source} -> v{link.target} [{_EDGES[link.kind][0]}{label}];"


def _legend(model: Model) -> str:
    """What the colours and lines of this drawing mean: only those that occur in it."""
    states, kinds = {node.state for node in model.nodes}, {node.kind for node in model.nodes}
    edges = {link.kind for link in model.links}
    boxes = [(color, STATE_WORDS[state]) for state, (color, _) in _STATES.items() if state in states]
    boxes = boxes or [(color, word) for kind, (color, _, word) in _KINDS.items() if kind in kinds]
    lines = [text for kind, (_, text) in _EDGES.items() if kind in edges]
    squares = [f'<font color="{color}">■ {word}</font>' for color, word in boxes]
    return f'{_GAP}<font point-size="9">{"   ".join([*squares, *lines])}</font><br align="left"/>'


def _wrapped(name: str) -> list[str]:
    """The name on a few lines, broken between words where that is possible."""
    lines: list[str] = []
    line = ""
    for word in name.split():
        pieces = [word[start : start + _WIDTH] for start in range(0, len(word), _WIDTH)]
        if line and len(line) + 1 + len(pieces[0]) <= _WIDTH:
            pieces[0] = f"{line} {pieces[0]}"
        elif line:
            lines.append(line)
        *whole, line = pieces
        lines += whole
    lines += [line] if line else []
    return lines if len(lines) <= _MAX_LINES else [*lines[: _MAX_LINES - 1], lines[_MAX_LINES - 1] + " …"]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _faint(text: str) -> str:
    return f'<font point-size="9" color="{_FAINT}">{_escape(text)}</font>' if text else ""


def _escape(text: str) -> str:
    """Text for an HTML-like label: graphviz takes XML, which has no control characters."""
    printable = _printable(text)
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _quote(text: str) -> str:
    """A DOT string: quotes and backslashes escaped, line ends kept."""
    escaped = _printable(text, keep="\n").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _printable(text: str, keep: Iterable[str] = ()) -> str:
    return "".join(character if character >= " " or character in keep else " " for character in text)
