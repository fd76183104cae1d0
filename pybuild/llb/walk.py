"""Traversal of the graph: the only place that follows edges, always with an explicit stack.

The vocabulary is small on purpose: `toposort` (inputs first), `rewrite` (map every vertex, inputs first),
`consumers` (who uses what), `flatten`/`unflatten` (rows for pickling).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pybuild.llb.files import SCRATCH, CopyAction, FileAction
from pybuild.llb.meta import Constraints, Metadata
from pybuild.llb.mounts import BindMount
from pybuild.llb.ops import ExecOp, FileOp, Op
from pybuild.llb.vertex import Edge, Graph, OutputIndex, Vertex
from pybuild.location import Location

Row = tuple[Op, tuple[tuple[int, int], ...], Constraints, Metadata, tuple[Location, ...], tuple[int, ...], bytes]


def visit_order(vertex: Vertex) -> Sequence[Vertex]:
    """The vertices below `vertex` in the order in which BuildKit's client visits them.

    A file op is walked from its last action to its first; every other op in the order of its inputs.
    """
    if vertex.visits:
        return vertex.visits
    inputs = vertex.inputs
    if len(inputs) < 2:
        return [inputs[0].vertex] if inputs else ()
    if not isinstance(vertex.op, FileOp):
        return [edge.vertex for edge in inputs]
    return [inputs[number].vertex for number in file_visits(vertex.op.actions, len(inputs))]


def file_visits(actions: Sequence[FileAction], count: int) -> list[int]:
    """The numbers of a file op's `count` inputs in visiting order.

    Of each action, from the last back along what it works on: the base that its chain started from, then what a copy
    reads, which may be a chain of its own (client/llb/fileop.go, `allOutputs`).
    """
    bases: list[int] = []
    for action in actions:
        bases.append(action.input if action.input < count else bases[action.input - count])  # it reads what it appends
    order: dict[int, None] = {}
    stack, seen = [len(actions) - 1], set[int]()
    while stack:
        number = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        action = actions[number]
        order[bases[number]] = None
        if action.input >= count:
            stack.append(action.input - count)
        if isinstance(action, CopyAction):
            source = action.secondary_input
            if source >= count:
                stack.append(source - count)
            else:
                order[source] = None
    order.pop(SCRATCH, None)
    order.update(dict.fromkeys(range(count)))
    return list(order)


def toposort(heads: Iterable[Vertex]) -> list[Vertex]:
    """Every vertex object reachable from `heads`, once, inputs before users (depth-first post-order).

    Example:
        >>> toposort([])
        []
    """
    done: set[int] = set()
    order: list[Vertex] = []
    for head in heads:
        stack: list[tuple[Vertex, bool]] = [(head, False)]
        while stack:
            vertex, expanded = stack.pop()
            if id(vertex) in done:
                continue
            if expanded:
                done.add(id(vertex))
                order.append(vertex)
                continue
            stack.append((vertex, True))
            stack += [(below, False) for below in reversed(visit_order(vertex)) if id(below) not in done]
    return order


def rewrite(graph: Graph, change: Callable[[Vertex], Vertex | Edge]) -> Graph:
    """Rebuild `graph` from its sources upward.

    Args:
        graph: where to start from; returned itself when nothing changed.
        change: called once per vertex, in the order of `graph.vertices`; the vertex has its new inputs already.
            Returning the vertex keeps it; returning an Edge makes every user of the vertex use that edge instead (only
            for vertices with one output).
    """
    made: dict[int, Vertex | Edge] = {}  # only of what changed: most passes leave most vertices alone

    def follow(edge: Edge) -> Edge:
        target = made.get(id(edge.vertex))
        if target is None:
            return edge
        return target if isinstance(target, Edge) else Edge(target, edge.output)

    order: list[Vertex] = []
    same_order = True
    for vertex in graph.vertices:
        current = vertex
        if made and any(id(below) in made for below in (*[edge.vertex for edge in vertex.inputs], *vertex.visits)):
            visits = [follow(Edge(below)).vertex for below in vertex.visits]
            current = vertex.replace(inputs=[follow(edge) for edge in vertex.inputs], visits=visits)
        result = change(current)
        if result is not vertex:
            made[id(vertex)] = result
        if isinstance(result, Edge):
            same_order = False
        else:
            same_order = same_order and result.inputs is current.inputs
            order.append(result)
    if not made:
        return graph
    heads = [None if edge is None else follow(edge) for edge in graph.heads]
    # Where nothing was taken out, the order is what the walk would find again.
    return Graph(heads, order=order if same_order else None)


def consumers(graph: Graph) -> dict[int, list[tuple[Vertex, int]]]:
    """For each vertex (by `id`) the (user, input number) pairs that take one of its outputs."""
    found: dict[int, list[tuple[Vertex, int]]] = {id(vertex): [] for vertex in graph.vertices}
    for vertex in graph.vertices:
        for number, edge in enumerate(vertex.inputs):
            found[id(edge.vertex)].append((vertex, number))
            for twin in vertex.visits:
                if twin is not edge.vertex and twin.digest == edge.vertex.digest:
                    found[id(twin)].append((vertex, number))
    return found


def primary_input(edge: Edge) -> Edge | None:
    """The edge from which `edge` takes its file system in the first place; None for sources and scratch.

    Exec: the source of the mount whose output this is. File: the base of the first action. Merge: its first
    input. Diff: its upper. Image config, environment and user are inherited along this path, as BuildKit's
    client does (client/llb/state.go, merge.go, diff.go).
    """
    vertex, op = edge.vertex, edge.vertex.op
    number = -1
    if isinstance(op, ExecOp):
        for mount in op.mounts:
            if isinstance(mount, BindMount) and mount.output == edge.output:
                number = mount.input
                break
    elif isinstance(op, FileOp):
        number = next((a.input for a in op.actions if 0 <= a.input < len(vertex.inputs)), -1)
        if op.actions[0].input == -1:
            number = -1
    else:
        number = _first_of(op)
    return vertex.inputs[number] if 0 <= number < len(vertex.inputs) else None


def _first_of(op: Op) -> int:
    from pybuild.llb.ops import DiffOp, MergeOp, PassthroughOp

    match op:
        case MergeOp(inputs=inputs):
            return inputs[0] if inputs else -1
        case DiffOp(upper=upper):
            return upper
        case PassthroughOp(outputs=outputs):
            return outputs[0] if outputs else -1
        case _:
            return -1


def origin(edge: Edge) -> Vertex | None:
    """The source vertex from which `edge`'s file system descends along primary inputs; None for scratch."""
    from pybuild.llb.ops import SourceOp

    current = edge
    while (below := primary_input(current)) is not None:
        current = below
    return current.vertex if isinstance(current.vertex.op, SourceOp) else None


def flatten(heads: Sequence[Edge]) -> list[Row]:
    """The graph below `heads` as rows in topological order; inputs refer to rows by number."""
    order = toposort(edge.vertex for edge in heads)
    position = {id(vertex): number for number, vertex in enumerate(order)}
    return [
        (
            vertex.op,
            tuple((position[id(edge.vertex)], int(edge.output)) for edge in vertex.inputs),
            vertex.constraints,
            vertex.metadata,
            vertex.locations,
            tuple(position[id(below)] for below in vertex.visits),
            vertex.wire,
        )
        for vertex in order
    ]


def unflatten(rows: Iterable[Row]) -> list[Vertex]:
    """The inverse of `flatten`: vertices in the order of their rows."""
    made: list[Vertex] = []
    for op, inputs, constraints, metadata, locations, visits, wire in rows:
        edges = tuple(Edge(made[number], OutputIndex(index)) for number, index in inputs)
        below = [made[number] for number in visits]
        vertex = Vertex(
            op, edges, constraints=constraints, metadata=metadata, locations=locations, visits=below, wire=wire
        )
        made.append(vertex)
    return made
