"""The graph as text: every step in order, what it takes from which step, and the line that wrote it.

binary
  2  go build -o /out/app .                    Buildfile.py:14
       on 1, /src from 3, /root/.cache: cache
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from pybuild.llb.vertex import Graph
from pybuild.viz.model import Link, Model, Node, model_of, time_text

_WIDTH = 64


def explain(graph: Graph) -> str:
    """The graph as text, inputs before users.

    Example:
        >>> from pybuild.llb import construct
        >>> from pybuild.llb.files import MkdirAction
        >>> from pybuild.llb.vertex import Edge
        >>> print(explain(Graph([Edge(construct.file(None, [(MkdirAction(path="/a"), None)]))])))
        1  mkdir /a
    """
    return to_text(model_of(graph))


def to_text(model: Model) -> str:
    """The model as text."""
    if not model.nodes:
        return "nothing: an empty file system"
    inputs: dict[int, list[Link]] = {}
    for link in model.links:
        inputs.setdefault(link.target, []).append(link)
    return "\n".join(_lines(model, inputs))


def _lines(model: Model, inputs: dict[int, list[Link]]) -> Iterator[str]:
    digits = len(str(len(model.nodes)))
    indent = "  " if any(node.stage for node in model.nodes) else ""
    stage = ""
    for node in model.nodes:
        if node.stage != stage:
            stage = node.stage
            yield f"{stage or '(no target)'}"
        yield _headline(node, indent, digits)
        uses = [_use(link) for link in inputs.get(node.number, ())]
        uses += [f"{path}: {what}" for path, what in node.mounts]
        if uses:
            yield f"{indent}{'':{digits}}    {', '.join(uses)}"


def _headline(node: Node, indent: str, digits: int) -> str:
    name = node.name if len(node.name) <= _WIDTH else node.name[: _WIDTH - 1] + "…"
    time = time_text(node.duration)
    state = {"done": f"ran {time}", "failed": f"failed after {time}", "skipped": "not needed"}.get(
        node.state, node.state
    )
    end = "  ".join(part for part in (node.place, state) if part)
    return f"{indent}{node.number:{digits}}  {name:{_WIDTH}}  {end}".rstrip()


def _use(link: Link) -> str:
    match link.kind:
        case "base":
            return f"on {link.source}"
        case "mount" | "copy":
            return f"{link.label} from {link.source}"
        case "input":
            return f"{link.label} {link.source}".strip()
        case _:
            assert_never(link.kind)
