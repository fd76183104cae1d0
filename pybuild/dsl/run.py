"""Lowering of `run` and `.mount()` to an exec vertex.

A `Run` holds what was asked for; each `.mount()` makes the exec vertex anew from it and replaces the head, it never
wraps it. Numbering and sorting of mounts happen in `llb.construct.exec_` alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from pybuild.dsl import context
from pybuild.dsl.buildoptions import Network as Network
from pybuild.dsl.buildoptions import options
from pybuild.dsl.checks import check_variable
from pybuild.dsl.config import Folded
from pybuild.dsl.documents import Document
from pybuild.dsl.history import run_step
from pybuild.dsl.inherited import inherited
from pybuild.dsl.mount import SSH_TARGET, Mount
from pybuild.dsl.paths import checked, join
from pybuild.dsl.sizes import size_in_bytes
from pybuild.errors import ArgumentError, MountConflictError
from pybuild.llb import construct, mounts
from pybuild.llb.meta import (
    CDIDevice,
    Constraints,
    ExecMeta,
    Inherit,
    LinuxResources,
    Metadata,
    NetMode,
    SecretEnv,
    SecurityMode,
)
from pybuild.llb.vertex import Edge, Vertex
from pybuild.location import Location
from pybuild.passes.resolve import complete_meta
from pybuild.platform import Platform
from pybuild.request import HistoryStep

Security: TypeAlias = Literal["sandbox", "insecure"]

_NETWORK: Final = {"sandbox": NetMode.SANDBOX, "host": NetMode.HOST, "none": NetMode.NONE}
_SECURITY: Final = {"sandbox": SecurityMode.SANDBOX, "insecure": SecurityMode.INSECURE}
_PIPES = "/dev/pipes/"
_SHM = "/dev/shm"  # noqa: S108  # where every Linux process expects it
_CPU_PERIOD = 100_000  # microseconds, the kernel's default
_ROOT: Final = mounts.BindMount(target="/", output=0)


@attrs.frozen(kw_only=True, eq=False)
class Run:
    """Everything that one `run` asked for; `attached` are its mounts with the line that attached each."""

    base: Edge | None
    meta: ExecMeta
    network: NetMode
    security: SecurityMode
    platform: Platform | None
    metadata: Metadata
    location: Location
    step: HistoryStep
    devices: tuple[CDIDevice, ...] = ()
    shm_size: int = 0
    attached: tuple[tuple[Mount, Location], ...] = ()

    def vertex(self) -> Vertex:
        """The exec vertex."""
        placed: list[tuple[mounts.Mount, Edge | None]] = [(_ROOT, self.base)]
        secrets: list[SecretEnv] = []
        agents = 0
        for mount, _ in self.attached:
            spec = mount.placed(self._directory(mount))
            if isinstance(spec, mounts.SshMount):
                if spec.target == SSH_TARGET:
                    spec = spec.replace(target=f"{SSH_TARGET}{agents}")
                agents += 1
            if spec is not None:
                placed.append((spec, mount.edge))
            if mount.secret_env is not None:
                secrets.append(mount.secret_env)
        if self.shm_size:
            placed.append((mounts.TmpfsMount(target=_SHM, size=self.shm_size), None))
        return construct.exec_(
            self._meta_with_agent(placed),
            placed,
            network=self.network,
            security=self.security,
            secret_env=secrets,
            cdi_devices=self.devices,
            constraints=Constraints(platform=self.platform),
            metadata=self.metadata,
            locations=[self.location],
            unique_targets=False,
        )

    def _directory(self, mount: Mount) -> str:
        """Where a relative target starts; the image is asked where the definition does not say."""
        if self.meta.cwd.startswith("/") or mount.target is None or mount.target.startswith("/"):
            return self.meta.cwd
        return join(inherited(self.base, self.platform).directory, self.meta.cwd)

    def _meta_with_agent(self, placed: Sequence[tuple[mounts.Mount, Edge | None]]) -> ExecMeta:
        first = next((spec for spec, _ in placed if isinstance(spec, mounts.SshMount)), None)
        if first is None or any(item.startswith("SSH_AUTH_SOCK=") for item in self.meta.env):
            return self.meta
        return self.meta.replace(env=(*self.meta.env, f"SSH_AUTH_SOCK={first.target}"))

    def attach(self, added: Sequence[Mount], location: Location) -> Run:
        """The same run with more mounts.

        Raises:
            MountConflictError: two mounts would have one target.
            ArgumentError: two secrets would be one environment variable.
        """
        attached = (*self.attached, *((mount, location) for mount in added))
        variables = [mount.secret_env.name for mount, _ in attached if mount.secret_env is not None]
        twice = next((name for name in variables if variables.count(name) > 1), None)
        if twice is not None:
            raise ArgumentError(f'two secrets are given as the variable "{twice}"', hint="give one of them another env")
        seen: dict[str, tuple[Mount, Location]] = {}
        for mount, place in attached:
            target = mount.target
            if target is None or target == SSH_TARGET:
                continue
            target = posixpath.normpath(join(self.meta.cwd, target))
            if target in seen:
                raise _conflict(target, seen[target], (mount, place))
            seen[target] = (mount, place)
        return attrs.evolve(self, attached=attached)


def _conflict(target: str, first: tuple[Mount, Location], second: tuple[Mount, Location]) -> MountConflictError:
    # Two mounts of one call: the lines of the mounts themselves tell them apart.
    if first[1].line == second[1].line:
        return MountConflictError(target, first=first[0].location, second=second[0].location)
    return MountConflictError(target, first=first[1], second=second[1])


def make_run(
    base: Edge | None,
    config: Folded,
    platform: Platform | None,
    command: str | Sequence[str] | Document,
    *,
    env: Mapping[str, str] | None,
    workdir: str | None,
    user: str | None,
    network: Network | None,
    security: Security,
    shell: Sequence[str] | bool,
    valid_exit_codes: Sequence[int],
    metadata: Metadata,
    location: Location,
    devices: Sequence[str] = (),
) -> Run:
    """A run on top of `base`; what is not said here comes from `config`."""
    patch = config.patch
    late = dict(config.late)
    for name, text in (env or {}).items():
        check_variable(name, "run(): env name")
        late.pop(name, None)
        late[name] = text
    script: tuple[tuple[Mount, Location], ...] = ()
    if isinstance(command, Document):
        script = ((_script_mount(command), location),)
        command = _PIPES + command.name
    args, by_shell = _arguments(command, shell, patch.shell)
    codes = tuple(sorted(set(valid_exit_codes)))
    if not codes:
        raise ArgumentError("run(): valid_exit_codes must not be empty")
    always = options()
    meta = ExecMeta(
        args=args,
        env=tuple([f"{name}={text}" for name, text in (*config.early, *config.kept, *late.items())]),
        cwd=(patch.working_dir or "") if workdir is None else join(patch.working_dir, workdir),
        user=(patch.user or "") if user is None else user,
        proxy_env=always.proxies,
        extra_hosts=always.hosts,
        hostname=always.hostname,
        ulimits=always.ulimits,
        cgroup_parent=always.cgroup_parent,
        valid_exit_codes=() if codes == (0,) else codes,
        inherit=Inherit(shell=by_shell, early=len(config.early), kept=len(config.kept)),
    )
    if patch.base is not None and meta.inherit is not None:
        meta = complete_meta(meta, meta.inherit, patch.base)
    return Run(
        base=base,
        meta=meta,
        network=_NETWORK[network or always.network or "sandbox"],
        security=_SECURITY[security],
        platform=platform,
        metadata=metadata,
        location=location,
        devices=tuple(map(_device, devices)),
        shm_size=always.shm_size,
        step=run_step(args, config.arguments, config.variables, by_shell=by_shell),
        attached=script,
    )


def _device(text: str) -> CDIDevice:
    name, _, need = checked(text, "run(): device").partition(",")
    if need not in ("", "required"):
        raise ArgumentError(f'run(): device "{text}" is not of the form NAME or NAME,required')
    return CDIDevice(name=name, optional=not need)


def _script_mount(script: Document) -> Mount:
    """BuildKit's place for scripts, which its frontend makes of heredocs that begin with `#!`."""
    spec = mounts.BindMount(target=_PIPES, selector="/", readonly=True)
    return Mount(spec=spec, edge=script.edge(mode=0o755), location=script.location)


def _arguments(
    command: str | Sequence[str], shell: Sequence[str] | bool, own_shell: tuple[str, ...] | None
) -> tuple[tuple[str, ...], bool]:
    """The arguments, and whether the image's shell is still to be put in front."""
    if not isinstance(command, str):
        if not isinstance(shell, bool):
            raise ArgumentError("run(): a list of arguments runs without a shell", hint="pass the command as one text")
        if not command:
            raise ArgumentError("run(): the list of arguments is empty")
        return tuple(command), False
    if not command.strip():
        raise ArgumentError("run(): the command is empty")
    if shell is False:
        raise ArgumentError("run(): a text needs a shell", hint='without one, pass a list such as ["make", "install"]')
    wrapper = own_shell if shell is True else tuple(shell)
    return ((command,), True) if wrapper is None else ((*wrapper, command), False)


def run_metadata(
    *, name: str | None, use_cache: bool, memory: int | str | None, cpus: float | None, timeout: float | None
) -> Metadata:
    """What of a run stays outside of its digest: its name, whether to look into the cache, its limits."""
    metadata = context.metadata()
    if name is not None:
        metadata = metadata.named(name)
    if memory is not None or cpus is not None or timeout is not None:
        if cpus is not None and cpus <= 0:
            raise ArgumentError(f"run(): cpus must be positive, got {cpus}")
        if timeout is not None and timeout <= 0:
            raise ArgumentError(f"run(): timeout must be positive, got {timeout}")
        limits = LinuxResources(
            memory=0 if memory is None else size_in_bytes(memory, "run(): memory"),
            cpu_period=0 if cpus is None else _CPU_PERIOD,
            cpu_quota=0 if cpus is None else round(cpus * _CPU_PERIOD),
            timeout_seconds=0.0 if timeout is None else float(timeout),
        )
        metadata = metadata.replace(resources=limits)
    return metadata if use_cache else metadata.replace(ignore_cache=True)
