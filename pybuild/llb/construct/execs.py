"""Exec vertices: a process, its mounts, and how both are numbered. Mirrors client/llb/exec.go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pybuild.errors import DefinitionError, MountConflictError
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
from pybuild.llb.mounts import NO_INPUT, NO_OUTPUT, BindMount, Mount, SecretMount, SshMount, TmpfsMount
from pybuild.llb.numbering import renumbered, united
from pybuild.llb.ops import ExecOp
from pybuild.llb.vertex import Edge, Vertex
from pybuild.location import Location

SSH_TARGET = "/run/buildkit/ssh_agent."
"""Where agents' sockets are unless said otherwise, followed by their number."""


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
        meta: the process: arguments, environment, directory, user, host names, limits, exit codes.
        mounts: each mount with the edge it shows (None: empty). One must have the target `/`. A writable bind gets
            an output unless its `output` is NO_OUTPUT: pass 0 to ask for one. An agent without a target gets
            `/run/buildkit/ssh_agent.N`, and the first one `SSH_AUTH_SOCK`, where that is not set.
        network: the step's network.
        security: sandboxed or not.
        secret_env: secrets as environment variables.
        cdi_devices: devices to inject.
        constraints: platform and worker filter.
        metadata: name, hints, limits.
        locations: where it was written.
        unique_targets: refuse two mounts on one target (the wire format would allow it).

    Raises:
        DefinitionError: no arguments, no mount at `/`, or an input under a tmpfs.
        MountConflictError: two mounts on one target.
    """
    if not meta.args:
        raise DefinitionError("arguments are required", locations=tuple(locations))
    # BuildKit sorts mounts by target before numbering outputs; secrets and agents come after them.
    ordered = sorted((pair for pair in mounts if not _is_late(pair[0])), key=lambda pair: pair[0].target.encode())
    late = _placed_agents([mount for mount, _ in mounts if _is_late(mount)])
    if not any(mount.target == "/" for mount, _ in ordered):
        raise DefinitionError('an exec needs a mount at "/"', locations=tuple(locations))
    if any(isinstance(mount, TmpfsMount) and edge is not None for mount, edge in ordered):
        raise DefinitionError("tmpfs mounts must use scratch", locations=tuple(locations))
    if unique_targets:
        _check_targets([*(mount for mount, _ in ordered), *late])
    edges = [edge for _, edge in ordered if edge is not None]
    op = ExecOp(
        meta=_with_agent(meta, late),
        mounts=(*_numbered(ordered), *late),
        network=network,
        security=security,
        secret_env=tuple(secret_env),
        cdi_devices=tuple(cdi_devices),
    )
    return vertex_of(op, edges, constraints=constraints, metadata=metadata, locations=locations)


def vertex_of(
    op: ExecOp,
    edges: Sequence[Edge],
    *,
    constraints: Constraints,
    metadata: Metadata,
    locations: Iterable[Location],
) -> Vertex:
    """The vertex of an exec whose inputs are numbered one per mount: equal ones become one.

    Vertices that are equal but not the same keep their place among those that are visited.
    """
    kept, numbers = united((edge.vertex.digest, edge.output) for edge in edges)
    objects, _ = united((id(edge.vertex), edge.output) for edge in edges)
    twins = len(objects) > len(kept)
    return Vertex(
        renumbered(op, numbers, len(kept)) if len(kept) < len(edges) else op,
        [edges[position] for position in kept],
        constraints=constraints,
        metadata=metadata,
        locations=locations,
        visits=[edges[position].vertex for position in objects] if twins else (),
    )


def _numbered(ordered: Sequence[tuple[Mount, Edge | None]]) -> list[Mount]:
    """The mounts with an input of its own for each that shows something, and outputs in order."""
    made: list[Mount] = []
    inputs = outputs = 0
    for mount, edge in ordered:
        number = NO_INPUT if edge is None else inputs
        inputs += edge is not None
        output = NO_OUTPUT
        if isinstance(mount, BindMount) and not mount.readonly and mount.output != NO_OUTPUT:
            output = outputs
            outputs += 1
        made.append(mount.replace(input=number, output=output))
    return made


def _is_late(mount: Mount) -> bool:
    return isinstance(mount, SecretMount | SshMount)


def _placed_agents(late: Sequence[Mount]) -> list[Mount]:
    """Secrets, then agents, these with a target each."""
    agents = [mount for mount in late if isinstance(mount, SshMount)]
    placed = [
        mount if mount.target else mount.replace(target=f"{SSH_TARGET}{number}") for number, mount in enumerate(agents)
    ]
    return [*(mount for mount in late if isinstance(mount, SecretMount)), *placed]


def _with_agent(meta: ExecMeta, late: Sequence[Mount]) -> ExecMeta:
    first = next((mount for mount in late if isinstance(mount, SshMount)), None)
    if first is None or any(item.startswith("SSH_AUTH_SOCK=") for item in meta.env):
        return meta
    return meta.replace(env=(*meta.env, f"SSH_AUTH_SOCK={first.target}"))


def _check_targets(mounts: Sequence[Mount]) -> None:
    seen: set[str] = set()
    for mount in mounts:
        target = mount.target.rstrip("/") or "/"
        if target in seen:
            raise MountConflictError(mount.target)
        seen.add(target)
