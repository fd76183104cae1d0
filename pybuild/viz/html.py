"""One self-contained page: the drawing when graphviz is there, and every step with its facts and lines."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Final

from pybuild.viz.dot import to_dot
from pybuild.viz.model import STATE_WORDS, Link, Model, Node, time_text
from pybuild.viz.render import can_render, render

_MOST_DRAWN: Final = 2000
_STYLE: Final = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 0; color: #24292f; background: #fff; }
header { padding: 12px 20px; border-bottom: 1px solid #d8dee4; }
main { display: flex; flex-wrap: wrap; }
#drawing { flex: 3 1 560px; overflow: auto; max-height: calc(100vh - 60px); padding: 12px; }
#drawing svg { max-width: 100%; height: auto; }
#steps { flex: 2 1 380px; overflow: auto; max-height: calc(100vh - 60px); border-left: 1px solid #d8dee4; }
article { padding: 8px 16px; border-bottom: 1px solid #eaeef2; }
article:target, article.chosen { background: #fff8c5; }
article h2 { font-size: 14px; margin: 0; overflow-wrap: anywhere; }
article p { margin: 2px 0; color: #57606a; }
pre { background: #f6f8fa; padding: 6px 8px; overflow: auto; margin: 4px 0; }
.state { float: right; font-size: 12px; padding: 0 6px; border-radius: 8px; background: #eaeef2; }
.done { background: #dafbe1; } .failed { background: #ffebe9; } .canceled { background: #fff5e3; }
g.node { cursor: pointer; }
"""
_SCRIPT: Final = """
document.querySelectorAll('g.node').forEach(node => node.addEventListener('click', () => {
  const step = document.getElementById(node.querySelector('title').textContent);
  document.querySelectorAll('article.chosen').forEach(other => other.classList.remove('chosen'));
  step.classList.add('chosen'); step.scrollIntoView({block: 'center'});
}));
"""


def to_html(model: Model, title: str = "graph") -> str:
    """The model as a page that needs nothing else.

    Args:
        model: what to show.
        title: what to call it.
    """
    inputs: dict[int, list[Link]] = {}
    for link in model.links:
        inputs.setdefault(link.target, []).append(link)
    steps = "\n".join(_step(node, inputs.get(node.number, [])) for node in model.nodes)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><header><strong>{escape(title)}</strong> "
        f'{escape(_summary(model))}</header>\n<main>{_picture(model)}<div id="steps">\n{steps}\n</div></main>'
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def _summary(model: Model) -> str:
    counts = Counter(node.state for node in model.nodes if node.state)
    words = [f"{count} {STATE_WORDS[state]}" for state, count in counts.items()]
    return ", ".join([f"{len(model.nodes)} steps", *words])


def _picture(model: Model) -> str:
    if not can_render() or len(model.nodes) > _MOST_DRAWN:
        return ""
    svg = render(to_dot(model), "svg").decode()
    return f'<div id="drawing">{svg[svg.index("<svg") :]}</div>'


def _step(node: Node, links: list[Link]) -> str:
    word = time_text(node.duration) if node.state == "done" else STATE_WORDS.get(node.state, "")
    state = f'<span class="state {node.state}">{word}</span>' if word else ""
    facts = ", ".join(
        part for part in (node.kind, f"stage {node.stage}" if node.stage else "", node.place, node.reason) if part
    )
    uses = "".join(
        f"<p>{link.kind}{' ' + escape(link.label) if link.label else ''} from "
        f'<a href="#v{link.source}">{link.source}</a></p>'
        for link in links
    )
    mounts = "".join(f"<p>{escape(what)} at {escape(path)}</p>" for path, what in node.mounts)
    snippet = f"<pre>{escape(node.snippet)}</pre>" if node.snippet else ""
    return (
        f'<article id="v{node.number}">{state}<h2>{node.number}. {escape(node.name)}</h2>'
        f"<p>{escape(facts)}</p>{snippet}{uses}{mounts}</article>"
    )
