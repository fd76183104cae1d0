"""Mermaid flowcharts, which code hosts draw inside Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from pybuild.viz.model import Model, Node

_SHAPES = {"source": ("([", "])"), "exec": ("[", "]"), "file": ("[/", "/]")}
_ARROWS = {"base": "==>", "copy": "-->", "mount": "-.->", "input": "-->"}
_CLASSES = """\
  classDef cached fill:#f4f5f6,stroke:#8a9099,stroke-dasharray:4
  classDef done fill:#e6f4e9,stroke:#2e8540
  classDef failed fill:#fde7e7,stroke:#c62828
  classDef canceled fill:#fff4e0,stroke:#b26a00"""


def to_mermaid(model: Model) -> str:
    """The model as Mermaid text."""
    return "\n".join([*_lines(model), ""])


def _lines(model: Model) -> Iterator[str]:
    yield "flowchart TD"
    for number, (stage, nodes) in enumerate(model.stages.items(), 1):
        if stage:
            yield f"  subgraph s{number}[{_quote(stage)}]"
        yield from (f"    {_node(node)}" for node in nodes)
        if stage:
            yield "  end"
    for link in model.links:
        label = f"|{_quote(link.label)}|" if link.label else ""
        yield f"  v{link.source} {_ARROWS[link.kind]}{label} v{link.target}"
    if any(node.state for node in model.nodes):
        yield _CLASSES


def _node(node: Node) -> str:
    opening, closing = _SHAPES.get(node.kind, ("{{", "}}"))
    text = node.name if len(node.name) <= 80 else node.name[:79] + "…"
    facts = [node.place, f"{node.duration:.1f} s" if node.state == "done" else ""]
    extra = " · ".join(fact for fact in facts if fact)
    label = _quote(text + (f"<br><small>{extra}</small>" if extra else ""), keep="<br>")
    state = f":::{node.state}" if node.state in ("cached", "done", "failed", "canceled") else ""
    return f"v{node.number}{opening}{label}{closing}{state}"


def _quote(text: str, keep: str = "") -> str:
    head, mark, tail = text.rpartition(keep) if keep and keep in text else (text, "", "")
    escaped = head.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
    return f'"{escaped.replace(chr(10), " ")}{mark}{tail}"'
