"""What a drawing shows of a graph: nodes with their lines and states, edges with what they mean, stages.

All forms (DOT, Mermaid, text, HTML, JSON) are made from this, so they say the same. Equal graphs give equal models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias, assert_never

import attrs

from pybuild.llb.files import CopyAction
from pybuild.llb.mounts import BindMount, CacheMount, Mount, SecretMount, SshMount, TmpfsMount
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, PassthroughOp, SourceOp
from pybuild.llb.vertex import Graph, Vertex, summary
from pybuild.location import Location, display_path
from pybuild.passes.contextuse import limits_of
from pybuild.protocols import StepResult

STAGE: Final = "pybuild.stage"
STATE_WORDS: Final = {
    "done": "ran",
    "cached": "cached",
    "failed": "failed",
    "canceled": "canceled",
    "skipped": "not needed",
}
"""What a build did with a step, by its state."""
_NAME_LIMIT: Final = 160
_DOCKERFILE_STEP: Final = re.compile(r"\[((?:\S+ )?\S+) +\d+/\d+\] (.+)", re.DOTALL)
_PATHS_SHOWN: Final = 6
NodeKind: TypeAlias = Literal["source", "exec", "file", "merge", "diff", "build", "passthrough"]
EdgeKind: TypeAlias = Literal["base", "mount", "copy", "input"]


@attrs.frozen(kw_only=True)
class Node:
    """One vertex.

    `number` counts from 1 in topological order; `place` is the user's file and line, `snippet` the lines there;
    `mounts` are (target, what) of mounts that take nothing from another vertex; `state` is "" before a build.
    """

    number: int
    name: str
    kind: NodeKind
    place: str = ""
    snippet: str = ""
    stage: str = ""
    mounts: tuple[tuple[str, str], ...] = ()
    state: str = ""
    duration: float = 0.0
    size: int = -1
    reason: str = ""
    digest: str = ""


@attrs.frozen(kw_only=True)
class Link:
    """An edge from the vertex `source` to its user `target`, by number. `label` says where it is used."""

    source: int
    target: int
    kind: EdgeKind
    label: str = ""


@attrs.frozen(kw_only=True)
class Model:
    """A whole drawing. `heads` are the numbers of the results."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    heads: tuple[int, ...]

    @property
    def stages(self) -> dict[str, list[Node]]:
        """Nodes by stage, in the order of first appearance; "" holds those of none."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            found.setdefault(node.stage, []).append(node)
        return found


def model_of(graph: Graph, steps: Sequence[StepResult] = ()) -> Model:
    """The model of a graph.

    Args:
        graph: what to show.
        steps: how a build of exactly this graph went, to show states and times.
    """
    results: dict[str, StepResult] = {step.digest: step for step in steps}
    numbers = {id(vertex): number for number, vertex in enumerate(graph.vertices, 1)}
    nodes = [_node(vertex, numbers[id(vertex)], results) for vertex in graph.vertices]
    links = [
        Link(source=numbers[id(edge.vertex)], target=numbers[id(vertex)], kind=kind, label=label)
        for vertex in graph.vertices
        for position, edge in enumerate(vertex.inputs)
        for kind, label in [_use(vertex, position)]
    ]
    heads = tuple(numbers[id(edge.vertex)] for edge in graph.heads if edge is not None)
    return Model(nodes=tuple(nodes), links=tuple(links), heads=heads)


def _node(vertex: Vertex, number: int, results: Mapping[str, StepResult]) -> Node:
    result = results.get(vertex.digest)
    location = vertex.locations[0] if vertex.locations else None
    op = vertex.op
    stage, name = _staged(vertex)
    return Node(
        number=number,
        name=name + limits_text(vertex),
        kind=_kind(vertex),
        place=_place(location),
        snippet=_snippet(location),
        stage=stage,
        mounts=(*_own_mounts(op.mounts), *_secret_variables(op)) if isinstance(op, ExecOp) else (),
        state=result.state if result is not None else "",
        duration=result.duration if result is not None else 0.0,
        size=result.size if result is not None else -1,
        reason=result.reason if result is not None else "",
        digest=vertex.digest,
    )


def _staged(vertex: Vertex) -> tuple[str, str]:
    """The stage and the name of a step; names of a Dockerfile's steps begin with theirs."""
    stage = dict(vertex.metadata.description).get(STAGE, "")
    name = _clean(vertex.metadata.name or summary(vertex.op, _NAME_LIMIT))
    match = None if stage else _DOCKERFILE_STEP.fullmatch(name)
    return (match[1], match[2]) if match else (stage, name)


def limits_text(vertex: Vertex) -> str:
    """What a local directory is limited to, in brackets behind its name; "" for all of it, and for other steps."""
    if not isinstance(vertex.op, SourceOp) or vertex.op.scheme != "local":
        return ""
    paths = [path for path in limits_of(vertex) if path]
    if not paths:
        return ""
    more = [f"and {len(paths) - _PATHS_SHOWN} more"] if len(paths) > _PATHS_SHOWN else []
    return f" [{', '.join([*paths[:_PATHS_SHOWN], *more])}]"


def _clean(name: str) -> str:
    """A name for people: the default domain and a pinned digest are noise."""
    name = name.removeprefix("docker.io/").removeprefix("library/")
    return name.partition("@sha256:")[0] if "@sha256:" in name else name


def _place(location: Location | None) -> str:
    if location is None:
        return ""
    return f"{display_path(location.file).rpartition('/')[2]}:{location.line}"


def _snippet(location: Location | None) -> str:
    if location is None:
        return ""
    return "\n".join(text for _, marked, text in location.snippet(context=0) if marked)


def _kind(vertex: Vertex) -> NodeKind:
    match vertex.op:
        case SourceOp():
            return "source"
        case ExecOp():
            return "exec"
        case FileOp():
            return "file"
        case MergeOp():
            return "merge"
        case DiffOp():
            return "diff"
        case BuildOp():
            return "build"
        case PassthroughOp():
            return "passthrough"
        case _:
            assert_never(vertex.op)


def _own_mounts(mounts: Sequence[Mount]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for mount in mounts[1:]:
        match mount:
            case BindMount():
                if mount.input < 0:
                    found.append((mount.target, "bind of nothing"))
            case CacheMount():
                found.append((mount.target, "cache"))
            case TmpfsMount():
                found.append((mount.target, "tmpfs"))
            case SecretMount():
                found.append((mount.target, f"secret {mount.secret_id}"))
            case SshMount():
                found.append((mount.target, "ssh agent"))
            case _:
                assert_never(mount)
    return found


def _secret_variables(op: ExecOp) -> list[tuple[str, str]]:
    return [(f"${secret.name}", f"secret {secret.secret_id}") for secret in op.secret_env]


def _use(vertex: Vertex, position: int) -> tuple[EdgeKind, str]:
    """What an input is to its vertex."""
    op = vertex.op
    if isinstance(op, ExecOp):
        targets = [mount.target for mount in op.mounts if getattr(mount, "input", -1) == position]
        return ("base", "") if "/" in targets else ("mount", ", ".join(targets))
    if isinstance(op, FileOp):
        if any(action.input == position for action in op.actions):
            return "base", ""
        sources = [a.source for a in op.actions if isinstance(a, CopyAction) and a.secondary_input == position]
        return "copy", ", ".join(dict.fromkeys(sources))
    if isinstance(op, DiffOp):
        return "input", "lower" if op.lower == position else "upper"
    return "input", ""


def time_text(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> time_text(0.01), time_text(3.46), time_text(75)
        ('<0.1 s', '3.5 s', '1m 15s')
    """
    if seconds >= 60:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}m {rest:02}s"
    return f"{seconds:.1f} s" if seconds >= 0.05 else "<0.1 s"


__all__ = ["STATE_WORDS", "EdgeKind", "Link", "Model", "Node", "NodeKind", "model_of", "time_text"]
