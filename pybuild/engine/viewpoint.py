"""From where a shell looks at a step: an exec that stands in for it, and whose outputs nobody keeps.

An exec is looked at with its own mounts and process. Everything else has neither: the result is seen as a container of
the image would see it, and any other step as the next command would.
"""

from __future__ import annotations

from pybuild.engine.imageresult import base_config
from pybuild.engine.localbuild import Build
from pybuild.errors import NotFound
from pybuild.llb.meta import ExecMeta
from pybuild.llb.mounts import NO_INPUT, NO_OUTPUT, BindMount, Mount
from pybuild.llb.ops import ExecOp
from pybuild.llb.vertex import Edge, Graph, OutputIndex, Vertex
from pybuild.llb.walk import primary_input
from pybuild.oci.imageconfig import ContainerConfig
from pybuild.solver.report import title

_NOTHING = ExecOp(meta=ExecMeta(args=()), mounts=())


def viewpoint(build: Build, step: str, *, before: bool) -> Vertex:
    """The exec in whose file system a shell looks at a step.

    Args:
        build: has the step in its graph.
        step: the step's digest, "" for the result.
        before: as the step finds everything; otherwise as it leaves it.

    Raises:
        NotFound: the graph has no such step.
    """
    if not step:
        return _root(Vertex(_NOTHING), build.head, _meta_of(build.config().config))
    vertex = next((vertex for vertex in build.graph.vertices if vertex.digest == step), None)
    if vertex is None:
        raise NotFound(f"step {step} is not in the graph any more", hint="what is built has changed; try again")
    if isinstance(vertex.op, ExecOp):
        return _exec(vertex, vertex.op, before=before)
    edge = Edge(vertex)
    return _root(vertex, primary_input(edge) if before else edge, _meta(build, edge))


def _root(vertex: Vertex, seen: Edge | None, meta: ExecMeta) -> Vertex:
    """An exec with a file system and nothing else."""
    op = ExecOp(meta=meta, mounts=(BindMount(target="/", input=NO_INPUT if seen is None else 0),))
    metadata = vertex.metadata.named(title(vertex) if vertex.op is not _NOTHING else "the result")
    return vertex.replace(op=op, inputs=() if seen is None else (seen,), visits=(), metadata=metadata)


def _exec(vertex: Vertex, op: ExecOp, *, before: bool) -> Vertex:
    """The exec itself, with its own outputs as inputs where those are wanted."""
    inputs: list[Edge] = []
    mounts: list[Mount] = []
    for mount in op.mounts:
        seen = vertex.inputs[mount.input] if mount.input != NO_INPUT else None
        changes: dict[str, int] = {}
        if isinstance(mount, BindMount):
            if mount.output != NO_OUTPUT and not before:
                seen = Edge(vertex, OutputIndex(mount.output))
            changes["output"] = NO_OUTPUT
        if seen is not None:
            changes["input"] = len(inputs)
            inputs.append(seen)
        mounts.append(mount.replace(**changes))
    return vertex.replace(op=op.replace(mounts=tuple(mounts)), inputs=tuple(inputs), visits=())


def _meta(build: Build, edge: Edge) -> ExecMeta:
    found = _next_exec(build.graph, edge)
    if found is not None:
        return found.meta.replace(args=(), valid_exit_codes=())
    last = build.head is not None and _descends(build.head, edge)
    config = build.config() if last else base_config(edge, build.request.platform, build.sources)
    return _meta_of(config.config)


def _meta_of(config: ContainerConfig) -> ExecMeta:
    return ExecMeta(args=(), env=config.env, cwd=config.working_dir or "/", user=config.user)


def _next_exec(graph: Graph, edge: Edge) -> ExecOp | None:
    """The first exec whose root file system comes of `edge`."""
    below = {id(edge.vertex)}
    for vertex in graph.vertices:
        base = primary_input(Edge(vertex))
        if base is None or id(base.vertex) not in below:
            continue
        if isinstance(vertex.op, ExecOp):
            return vertex.op
        below.add(id(vertex))
    return None


def _descends(head: Edge, edge: Edge) -> bool:
    current: Edge | None = head
    while current is not None and current.vertex is not edge.vertex:
        current = primary_input(current)
    return current is not None
