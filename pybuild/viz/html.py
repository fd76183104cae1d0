"""One self-contained page: the drawing when graphviz is there, and every step with its facts and lines."""

from __future__ import annotations

from html import escape

from pybuild.viz.dot import to_dot
from pybuild.viz.model import Link, Model, Node
from pybuild.viz.render import can_render, render

_STYLE = """
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
.done { background: #dafbe1; } .failed { background: #ffebe9; } .cached { background: #ddf4ff; }
g.node { cursor: pointer; }
"""
_SCRIPT = """
document.querySelectorAll('g.node').forEach(node => node.addEventListener('click', () => {
  const step = document.getElementById(node.querySelector('title').textContent);
  document.querySelectorAll('article.chosen').forEach(other => other.classList.remove('chosen'));
  step.classList.add('chosen'); step.scrollIntoView({block: 'center'});
}));
"""


def to_html(model: Model, title: str = "graph") -> str:
    """The model as a page that needs nothing else."""
    inputs: dict[int, list[Link]] = {}
    for link in model.links:
        inputs.setdefault(link.target, []).append(link)
    drawing = ""
    if can_render():
        svg = render(to_dot(model), "svg").decode()
        drawing = f'<div id="drawing">{svg[svg.index("<svg") :]}</div>'
    steps = "\n".join(_step(node, inputs.get(node.number, [])) for node in model.nodes)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><header><strong>{escape(title)}</strong> "
        f'{len(model.nodes)} steps</header>\n<main>{drawing}<div id="steps">\n{steps}\n</div></main>'
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def _step(node: Node, links: list[Link]) -> str:
    words = {"done": f"ran {node.duration:.1f} s"}
    state = f'<span class="state {node.state}">{words.get(node.state, node.state)}</span>' if node.state else ""
    uses = "".join(
        f"<p>{link.kind}{': ' + escape(link.label) if link.label else ''} from "
        f'<a href="#v{link.source}">{link.source}</a></p>'
        for link in links
    )
    mounts = "".join(f"<p>{escape(what)} at {escape(path)}</p>" for path, what in node.mounts)
    snippet = f"<pre>{escape(node.snippet)}</pre>" if node.snippet else ""
    stage = f" in {escape(node.stage)}" if node.stage else ""
    reason = f"<p>{escape(node.reason)}</p>" if node.reason else ""
    return (
        f'<article id="v{node.number}">{state}<h2>{node.number}. {escape(node.name)}</h2>'
        f"<p>{node.kind}{stage}, {escape(node.place)}</p>{snippet}{uses}{mounts}{reason}</article>"
    )
