"""Graphviz DOT text: stages as clusters, the user's line in each node, states and times after a build.

Equal models give equal bytes. Nothing here needs graphviz; `render.py` calls it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pybuild.viz.model import Link, Model, Node

_FILL = {
    "source": "#e3eefc",
    "exec": "#ffffff",
    "file": "#eef7e8",
    "merge": "#f4ebfa",
    "diff": "#f4ebfa",
    "build": "#fdf3dc",
    "passthrough": "#f5f5f5",
}
_BORDER = {
    "source": "#5b8ac4",
    "exec": "#5f6670",
    "file": "#7fa86a",
    "merge": "#9a7bb0",
    "diff": "#9a7bb0",
    "build": "#c29a3f",
    "passthrough": "#9e9e9e",
}
_STATES = {
    "cached": ("#8a9099", "#f4f5f6", "cached"),
    "done": ("#2e8540", "#e6f4e9", ""),
    "failed": ("#c62828", "#fde7e7", "failed"),
    "canceled": ("#b26a00", "#fff4e0", "canceled"),
    "skipped": ("#b8bdc4", "#fafafa", "not needed"),
}
_EDGES = {
    "base": 'penwidth=1.6, color="#5f6670"',
    "copy": 'color="#7fa86a"',
    "mount": 'style=dashed, color="#5b8ac4"',
    "input": 'color="#9a7bb0"',
}
_WIDTH = 44
_MAX_LINES = 4
_HEADER = """\
digraph pybuild {
  rankdir=TB; ranksep=0.45; nodesep=0.3; bgcolor="white"; newrank=true;
  fontname="Helvetica,Arial,sans-serif"; fontsize=11; fontcolor="#5f6670";
  node [shape=box, style="rounded,filled", fontname="Helvetica,Arial,sans-serif", fontsize=11, margin="0.14,0.08"];
  edge [arrowsize=0.6, fontname="Helvetica,Arial,sans-serif", fontsize=9, fontcolor="#5f6670"];"""


def to_dot(model: Model) -> str:
    """The model as DOT text."""
    return "\n".join([*_lines(model), "}", ""])


def _lines(model: Model) -> Iterator[str]:
    yield _HEADER
    for number, (stage, nodes) in enumerate(model.stages.items(), 1):
        if stage:
            yield f"  subgraph cluster_{number} {{"
            yield f'    label={_quote(stage)}; labeljust=l; style=rounded; color="#d0d5db"; margin=12;'
        indent = "    " if stage else "  "
        yield from (indent + _node(node, is_head=node.number in model.heads) for node in nodes)
        if stage:
            yield "  }"
    yield from (f"  {_link(link)}" for link in model.links)


def _node(node: Node, *, is_head: bool) -> str:
    border, fill, word = _STATES.get(node.state, (_BORDER[node.kind], _FILL[node.kind], ""))
    facts = [node.place, word or (f"{node.duration:.1f} s" if node.state else "")]
    rows = [*(_bold(line) for line in _wrapped(node.name)), *(_small(f"{what}  {path}") for path, what in node.mounts)]
    rows.append(_small("  ·  ".join(fact for fact in facts if fact)))
    label = '<br align="left"/>'.join(row for row in rows if row) + '<br align="left"/>'
    tooltip = node.snippet or node.name
    width = ", penwidth=2.2" if is_head else ""
    return f'v{node.number} [label=<{label}>, fillcolor="{fill}", color="{border}"{width}, tooltip={_quote(tooltip)}];'


def _link(link: Link) -> str:
    label = f", label={_quote('  ' + _cut(link.label, 30))}" if link.label else ""
    return f"v{link.source} -> v{link.target} [{_EDGES[link.kind]}{label}];"


def _wrapped(name: str) -> list[str]:
    """The name on a few lines, broken between words."""
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


def _bold(text: str) -> str:
    return f"<b>{_escape(text)}</b>" if text else ""


def _small(text: str) -> str:
    return f'<font point-size="9" color="#6b727c">{_escape(text)}</font>' if text else ""


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _quote(text: str) -> str:
    """A DOT string: quotes and backslashes escaped, line ends kept."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
