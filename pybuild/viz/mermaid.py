"""Mermaid flowcharts, which code hosts draw inside Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pybuild.viz.model import Model, Node, time_text

_SHAPES: Final = {"source": ("([", "])"), "exec": ("[", "]"), "file": ("[/", "/]")}
_ARROWS: Final = {"base": "==>", "copy": "-->", "mount": "-.->", "input": "-->"}
_CLASSES: Final = """\
  classDef done fill:#e9f6ec,stroke:#2e8540
  classDef cached fill:#f4f5f6,stroke:#8a9099,stroke-dasharray:4
  classDef failed fill:#fdeaea,stroke:#c62828
  classDef canceled fill:#fff5e3,stroke:#b26a00
  classDef skipped fill:#fcfcfc,stroke:#b8bdc4"""
_NAME_LIMIT: Final = 80


def to_mermaid(model: Model) -> str:
    """The model as Mermaid text.

    Example:
        >>> print(to_mermaid(Model(nodes=(Node(number=1, name="mkdir /a", kind="file"),), links=(), heads=(1,))))
        flowchart TD
          v1[/"mkdir /a"/]
        <BLANKLINE>
    """
    return "\n".join([*_lines(model), ""])


def _lines(model: Model) -> Iterator[str]:
    yield "flowchart TD"
    for number, (stage, nodes) in enumerate(model.stages.items(), 1):
        if stage:
            yield f"  subgraph s{number}[{_quote(stage)}]"
        indent = "    " if stage else "  "
        yield from (indent + _node(node) for node in nodes)
        if stage:
            yield "  end"
    for link in model.links:
        label = f"|{_quote(link.label)}|" if link.label else ""
        yield f"  v{link.source} {_ARROWS[link.kind]}{label} v{link.target}"
    if any(node.state for node in model.nodes):
        yield _CLASSES


def _node(node: Node) -> str:
    opening, closing = _SHAPES.get(node.kind, ("{{", "}}"))
    text = node.name if len(node.name) <= _NAME_LIMIT else node.name[: _NAME_LIMIT - 1] + "…"
    extra = " · ".join(fact for fact in (node.place, time_text(node.duration) if node.state == "done" else "") if fact)
    state = f":::{node.state}" if node.state else ""
    return f"v{node.number}{opening}{_quote(text, small=extra)}{closing}{state}"


def _quote(text: str, small: str = "") -> str:
    """A label; `small` goes on a line of its own."""
    below = f"<br><small>{_escape(small)}</small>" if small else ""
    return f'"{_escape(text)}{below}"'


def _escape(text: str) -> str:
    """Mermaid's own entities; a backquote would start Markdown."""
    entities = {"&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "#": "#35;", "`": "#96;"}
    return "".join(entities.get(character, max(character, " ")) for character in text)
