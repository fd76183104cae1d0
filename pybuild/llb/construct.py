"""Pure constructors of vertices, used by both frontends: they sort, number and deduplicate, and do no I/O.

`exec_` and `file` take each mount or action together with the edge it works on; the numbering that the wire format
needs (inputs, outputs) is made here and nowhere else. Mirrors client/llb/{exec,fileop,source,merge,diff}.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pybuild.errors import DefinitionError, MountConflictError
from pybuild.llb.files import CopyAction, FileAction, Owner, UserName
from pybuild.llb.meta import (
    NO_CONSTRAINTS,
    NO_METADATA,
    CDIDevice,
    Constraints,
    ExecMeta,
    Metadata,
    NetMode,
    SecretEnv,
    SecurityMode,
)
from pybuild.llb.mounts import NO_INPUT, NO_OUTPUT, BindMount, CacheMount, Mount, SecretMount, SshMount, TmpfsMount
from pybuild.llb.ops import DiffOp, ExecOp, FileOp, MergeOp, SourceOp
from pybuild.llb.vertex import Edge, Vertex
from pybuild.location import Location


def source(
    identifier: str,
    attrs: Mapping[str, str] | None = None,
    *,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """A source vertex.

    Args:
        identifier: `<scheme>://<reference>`.
        attrs: options by wire name, such as `local.includepattern`.
        constraints: platform and worker filter.
        metadata: name and hints.
        locations: where it was written.
    """
    op = SourceOp(identifier=identifier, attrs=dict(attrs or {}))  # type: ignore[arg-type]  # the converter sorts it
    return Vertex(op, constraints=constraints, metadata=metadata, locations=locations)


def exec_(
    meta: ExecMeta,
    mounts: Sequence[tuple[Mount, Edge | None]],
    *,
    network: NetMode = NetMode.SANDBOX,
    security: SecurityMode = SecurityMode.SANDBOX,
    secret_env: Sequence[SecretEnv] = (),
    cdi_devices: Sequence[CDIDevice] = (),
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
    unique_targets: bool = True,
) -> Vertex:
    """An exec vertex.

    Args:
        meta: the process.
        mounts: each mount with the edge it shows (None: empty). One must have the target `/`. A writable bind gets
            an output unless its `output` is NO_OUTPUT: pass 0 to ask for one.
        network: the step's network.
        security: sandboxed or not.
        secret_env: secrets as environment variables.
        cdi_devices: devices to inject.
        constraints: platform and worker filter.
        metadata: name, hints, limits.
        locations: where it was written.
        unique_targets: refuse two mounts on one target (the wire format would allow it).

    Raises:
        DefinitionError: no arguments, or no mount at `/`.
        MountConflictError: two mounts on one target.
    """
    if not meta.args:
        raise DefinitionError("arguments are required", locations=tuple(locations))
    # BuildKit sorts mounts by target before numbering outputs (client/llb/exec.go); secrets and ssh come after them.
    ordered = sorted((m for m in mounts if not _is_late(m[0])), key=lambda pair: pair[0].target.encode())
    late = [m for m in mounts if _is_late(m[0])]
    if not ordered or ordered[0][0].target != "/":
        raise DefinitionError('an exec needs a mount at "/"', locations=tuple(locations))
    if unique_targets:
        _check_targets([mount for mount, _ in (*ordered, *late)])
    inputs: dict[tuple[str, int], int] = {}
    edges: list[Edge] = []
    outputs = 0
    numbered: list[Mount] = []
    for mount, edge in ordered:
        number = NO_INPUT
        if edge is not None:
            key = (edge.vertex.digest, edge.output)
            number = inputs.setdefault(key, len(edges))
            if number == len(edges):
                edges.append(edge)
        match mount:
            case BindMount(readonly=False) if mount.output != NO_OUTPUT:
                numbered.append(mount.replace(input=number, output=outputs))
                outputs += 1
            case BindMount():
                numbered.append(mount.replace(input=number, output=NO_OUTPUT))
            case CacheMount() | TmpfsMount():
                numbered.append(mount.replace(input=number))
            case SecretMount() | SshMount():
                numbered.append(mount)
    op = ExecOp(
        meta=meta,
        mounts=(*numbered, *(mount for mount, _ in late)),
        network=network,
        security=security,
        secret_env=tuple(secret_env),
        cdi_devices=tuple(cdi_devices),
    )
    return Vertex(op, edges, constraints=constraints, metadata=metadata, locations=locations)


def _is_late(mount: Mount) -> bool:
    return isinstance(mount, SecretMount | SshMount)


def _check_targets(mounts: Sequence[Mount]) -> None:
    seen: set[str] = set()
    for mount in mounts:
        target = mount.target.rstrip("/") or "/"
        if target in seen:
            raise MountConflictError(mount.target)
        seen.add(target)


def file(
    base: Edge | None,
    actions: Sequence[tuple[FileAction, Edge | None]],
    *,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """A file vertex: `actions` applied to `base` one after the other.

    Args:
        base: the tree to change; None for an empty one.
        actions: each action with the edge that a copy reads from (None: scratch, and for every other action).
        constraints: platform and worker filter.
        metadata: name and hints.
        locations: where it was written.

    Raises:
        DefinitionError: there is no action.
    """
    if not actions:
        raise DefinitionError("a file operation needs an action", locations=tuple(locations))
    edges: list[Edge] = []
    numbers: dict[tuple[str, int], int] = {}

    def number_of(edge: Edge | None) -> int:
        if edge is None:
            return NO_INPUT
        number = numbers.setdefault((edge.vertex.digest, edge.output), len(edges))
        if number == len(edges):
            edges.append(edge)
        return number

    base_number = number_of(base)
    copies = [number_of(edge) for _, edge in actions]
    made: list[FileAction] = []
    for position, (action, _) in enumerate(actions):
        below = base_number if position == 0 else len(edges) + position - 1
        output = 0 if position == len(actions) - 1 else NO_OUTPUT
        bound: FileAction = action.replace(input=below, output=output)
        if isinstance(bound, CopyAction):
            bound = bound.replace(secondary_input=copies[position])
        made.append(_bind_owner(bound, base_number))
    return Vertex(FileOp(actions=tuple(made)), edges, constraints=constraints, metadata=metadata, locations=locations)


def _bind_owner(action: FileAction, base: int) -> FileAction:
    """Owner names are looked up in the base that the whole chain started from."""
    owner: Owner | None = getattr(action, "owner", None)
    if owner is None:
        return action
    user = owner.user.replace(input=base) if isinstance(owner.user, UserName) else owner.user
    group = owner.group.replace(input=base) if isinstance(owner.group, UserName) else owner.group
    return action.replace(owner=Owner(user=user, group=group))


def merge(
    inputs: Sequence[Edge | None],
    *,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Edge | None:
    """The inputs laid over each other, later ones on top. Empty ones are dropped; one left is that one itself."""
    present = [edge for edge in inputs if edge is not None]
    if len(present) < 2:
        return present[0] if present else None
    op = MergeOp(inputs=tuple(range(len(present))))
    return Edge(Vertex(op, present, metadata=metadata, locations=locations))


def diff(
    lower: Edge | None,
    upper: Edge | None,
    *,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Edge | None:
    """What `upper` changes over `lower`. With no lower it is `upper` itself."""
    if lower is None:
        return upper
    edges = [lower] if upper is None else [lower, upper]
    op = DiffOp(lower=0, upper=-1 if upper is None else 1)
    return Edge(Vertex(op, edges, metadata=metadata, locations=locations))
