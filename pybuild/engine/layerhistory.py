"""Which step made which layer of a result, also where merges and differences stack the layers of others.

A merge has the layers of everything that it merges, a difference to an ancestor those above it; any other step adds
one. An exporter gives the entries of a history to layers one by one, so there must be as many (cache/refs.go and
exporter/containerimage/writer.go of BuildKit).
"""

from __future__ import annotations

import attrs

from pybuild.llb.files import action_words
from pybuild.llb.ops import DiffOp, ExecOp, FileOp, MergeOp, SourceOp
from pybuild.llb.vertex import Edge, Vertex
from pybuild.llb.walk import primary_input
from pybuild.oci.imageconfig import History
from pybuild.values import Value

COMMENT = "pybuild"


@attrs.frozen
class LayerHistory(Value):
    """The layers of a result, without those of the image that it starts from.

    Attributes:
        entries: one for each, oldest first.
        inherited: below them are all layers of the image whose config the result inherits.
    """

    entries: tuple[History, ...]
    inherited: bool


def history_of_layers(head: Edge | None) -> LayerHistory:
    """What made the layers of a result.

    The number of layers of an image that is merged onto something else is not known here; it counts as one.

    Args:
        head: the result, as it is solved.
    """
    newest_first: list[Vertex] = []
    pending: list[Edge | None] = [head]
    while pending:
        edge = pending.pop()
        if edge is None:
            continue
        vertex, op = edge.vertex, edge.vertex.op
        if isinstance(op, MergeOp):
            pending += [vertex.inputs[number] for number in op.inputs]
        elif isinstance(op, DiffOp):
            lower, upper = (vertex.inputs[n] if n >= 0 else None for n in (op.lower, op.upper))
            between = _between(lower, upper)
            newest_first += [vertex] if between is None else between
            if lower is None:
                pending.append(upper)
        elif isinstance(op, SourceOp):
            newest_first.append(vertex)
        else:
            newest_first.append(vertex)
            pending.append(primary_input(edge))
    vertices = newest_first[::-1]
    inherited = bool(vertices) and isinstance(vertices[0].op, SourceOp)
    return LayerHistory(tuple(map(created_by, vertices[1:] if inherited else vertices)), inherited or not vertices)


def _between(lower: Edge | None, upper: Edge | None) -> list[Vertex] | None:
    """The steps above `lower` that lead to `upper`, newest first; None when the one does not descend from the other."""
    if lower is None:
        return []
    steps: list[Vertex] = []
    current = upper
    while current is not None:
        if current == lower:
            return steps
        if isinstance(current.vertex.op, MergeOp | DiffOp):
            return None
        steps.append(current.vertex)
        current = primary_input(current)
    return None


def layer_history(head: Edge | None) -> tuple[History, ...]:
    """One entry for each step on the way from the source to the result, oldest first; a merge is one step."""
    entries: list[History] = []
    current = head
    while current is not None and not isinstance(current.vertex.op, SourceOp):
        entries.append(created_by(current.vertex))
        current = primary_input(current)
    return tuple(reversed(entries))


def created_by(vertex: Vertex) -> History:
    """What a history says of the layer that a step made."""
    return History(created_by=_command(vertex), comment=COMMENT)


def _command(vertex: Vertex) -> str:
    op = vertex.op
    if isinstance(op, ExecOp):
        return f"RUN {' '.join(op.meta.args)} # {COMMENT}"
    if isinstance(op, FileOp):
        return "; ".join(action_words(action) for action in op.actions) + f" # {COMMENT}"
    if isinstance(op, SourceOp):
        return f"{vertex.metadata.name or _source_name(op.identifier)} # {COMMENT}"
    return f"{vertex.name} # {COMMENT}"


def _source_name(identifier: str) -> str:
    """A source, the name of an image as people write it: engines need it whole."""
    scheme, separator, reference = identifier.partition("://")
    if scheme not in ("docker-image", "oci-layout"):
        return identifier
    return f"{scheme}{separator}{reference.removeprefix('docker.io/').removeprefix('library/')}"
