"""`State.Run` and its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from pybuild.errors import DefinitionError
from pybuild.llb import construct
from pybuild.llb import meta as llb_meta
from pybuild.llb.meta import CDIDevice, ExecMeta, Metadata, NetMode, SecretEnv, SecurityMode
from pybuild.llb.mounts import (
    NO_OUTPUT,
    BindMount,
    CacheMount,
    ContentCache,
    Mount,
    SecretMount,
    Sharing,
    SshMount,
    TmpfsMount,
)
from pybuild.llb.vertex import Vertex
from tests.wire.client import structs
from tests.wire.client.capabilities import CAPABILITIES
from tests.wire.client.constraints import Constraints
from tests.wire.client.operations import Operation, OperationOutput
from tests.wire.client.options import apply_all
from tests.wire.client.sources import Change
from tests.wire.client.states import Output, State, StateOption, new_state
from tests.wire.golang.format import sprintf
from tests.wire.golang.shellwords import split


@attrs.define(eq=False)
class MountPoint:
    """A mount as its options make it."""

    target: str
    source: Output | None
    readonly: bool = False
    selector: str = ""
    cache: tuple[str, int] | None = None
    tmpfs: int | None = None
    no_output: bool = False
    content_cache: int = 0

    @property
    def is_cache(self) -> bool:
        """Without an id it is a mount like any other."""
        return self.cache is not None and self.cache[0] != ""

    @property
    def has_output(self) -> bool:
        return not (self.readonly or self.no_output or self.tmpfs is not None or self.is_cache)

    def value(self) -> Mount:
        content_cache = ContentCache(self.content_cache)
        common: dict[str, Any] = {
            "target": self.target,
            "selector": self.selector,
            "readonly": self.readonly,
            "content_cache": content_cache,
        }
        if self.tmpfs is not None:
            return TmpfsMount(**common, size=self.tmpfs)
        if self.is_cache:
            assert self.cache is not None
            return CacheMount(**common, cache_id=self.cache[0], sharing=Sharing(self.cache[1]))
        return BindMount(**common, output=0 if self.has_output else NO_OUTPUT)


@attrs.define
class Secret:
    """`llb.SecretInfo`."""

    ID: str
    Target: str | None
    Env: str | None = None
    Mode: int = 0o400
    UID: int = 0
    GID: int = 0
    Optional: bool = False


@attrs.define
class Agent:
    """`llb.SSHInfo`."""

    ID: str = ""
    Target: str = ""
    Mode: int = 0o600
    UID: int = 0
    GID: int = 0
    Optional: bool = False


@attrs.define
class RunInfo:
    """`llb.ExecInfo`."""

    state: State
    constraints: Constraints = attrs.field(factory=Constraints)
    mounts: list[MountPoint] = attrs.field(factory=list)
    readonly: bool = False
    proxy: structs.ProxyEnv | None = None
    secrets: list[Secret] = attrs.field(factory=list)
    agents: list[Agent] = attrs.field(factory=list)
    devices: list[CDIDevice] = attrs.field(factory=list)


class ExecOp:
    """An exec with its mounts, to which more can be added until it is marshalled."""

    def __init__(self, base: State, info: RunInfo) -> None:
        self._base, self._info = base, info
        self._operation = Operation(self._made)
        self.root = MountPoint("/", base.Output(), readonly=info.readonly)
        self._mounts = [self.root]
        self.outputs: dict[int, Output | None] = {id(self.root): self._output(self.root)}
        for mount in info.mounts:
            self.add(mount)

    def add(self, mount: MountPoint) -> Output | None:
        self._mounts.append(mount)
        self._operation.forget()
        found = self.outputs[id(mount)] = self._output(mount)
        return found

    def mount_at(self, target: str) -> Output | None:
        return next((self.outputs[id(mount)] for mount in self._mounts if mount.target == target), None)

    def _output(self, mount: MountPoint) -> Output | None:
        if mount.readonly:
            return mount.source
        error = ""
        if mount.tmpfs is not None:
            error = f"tmpfs mount for {mount.target} can't be used as a parent"
        elif mount.no_output:
            error = f"mount marked no-output and {mount.target} can't be used as a parent"
        return OperationOutput(
            self._operation, lambda: self._index(mount), platform=self._info.constraints.Platform, error=error
        )

    def _sorted(self) -> list[MountPoint]:
        return sorted(self._mounts, key=lambda mount: mount.target.encode(errors="surrogateescape"))

    def _index(self, mount: MountPoint) -> int:
        with_output = [item for item in self._sorted() if item.has_output]
        if mount not in with_output:
            raise DefinitionError(f"invalid mount: {mount.target}")
        return with_output.index(mount)

    def _made(self, given: Constraints) -> Vertex:
        base, info = self._base, self._info
        if base.get("args", given) and not base.get("dir", given):
            raise DefinitionError("working directory is required")
        return construct.exec_(
            self._meta(given),
            [*((mount.value(), mount.source and mount.source.edge(given)) for mount in self._mounts), *self._late()],
            network=NetMode(base.get("network", given, 0)),
            security=SecurityMode(base.get("security", given, 0)),
            secret_env=[
                SecretEnv(secret_id=item.ID, name=item.Env, optional=item.Optional)
                for item in info.secrets
                if item.Env is not None
            ],
            cdi_devices=info.devices,
            unique_targets=False,
            **self._of_vertex(given),
        )

    def _of_vertex(self, given: Constraints) -> dict[str, Any]:
        info = self._info
        found = info.constraints.of_vertex(given, self._base.platform(given) or given.platform)
        if info.secrets:  # also those that are neither a file nor a variable in the end
            metadata: Metadata = found["metadata"]
            found["metadata"] = metadata.replace(caps=(*metadata.caps, CAPABILITIES["CapExecMountSecret"]))
        return found

    def _late(self) -> list[tuple[Mount, None]]:
        secrets = [
            SecretMount(
                target=item.Target,
                secret_id=item.ID,
                uid=item.UID & 0xFFFFFFFF,
                gid=item.GID & 0xFFFFFFFF,
                mode=item.Mode,
                optional=item.Optional,
            )
            for item in self._info.secrets
            if item.Target is not None
        ]
        agents = [
            SshMount(
                target=item.Target,
                agent_id=item.ID,
                uid=item.UID & 0xFFFFFFFF,
                gid=item.GID & 0xFFFFFFFF,
                mode=item.Mode,
                optional=item.Optional,
            )
            for item in self._info.agents
        ]
        return [(mount, None) for mount in (*secrets, *agents)]

    def _meta(self, given: Constraints) -> ExecMeta:
        base, proxy = self._base, self._info.proxy
        return ExecMeta(
            args=tuple(base.get("args", given, ())),
            env=tuple(f"{name}={value}" for name, value in base.env(given).items()),
            cwd=base.get("dir", given, ""),
            user=base.get("user", given, ""),
            proxy_env=None
            if proxy is None
            else llb_meta.ProxyEnv(
                http_proxy=proxy.HTTPProxy,
                https_proxy=proxy.HTTPSProxy,
                ftp_proxy=proxy.FTPProxy,
                no_proxy=proxy.NoProxy,
                all_proxy=proxy.AllProxy,
            ),
            extra_hosts=base.get("hosts", given, ()),
            hostname=base.get("hostname", given, ""),
            ulimits=base.get("ulimits", given, ()),
            cgroup_parent=base.get("cgroup", given, ""),
            valid_exit_codes=tuple(base.get("exitcodes", given, ())),
        )


class ExecState(State):
    """`llb.ExecState`."""

    exec: ExecOp

    def AddMount(self, target: str, source: State, *options: Any) -> State:
        return source.WithOutput(self.exec.add(_mount(target, source, options)))

    def GetMount(self, target: str) -> State:
        return new_state(self.exec.mount_at(target))

    def Root(self) -> State:
        return State(out=self.out, prev=self.prev, key=self.key, value=self.value)

    @property
    def State(self) -> State:
        """The embedded state."""
        return self.Root()


def run(state: State, options: Sequence[Any]) -> ExecState:
    """`State.Run`."""
    info = RunInfo(state)
    for option in options:
        if callable(option) and not hasattr(option, "apply"):  # a StateOption
            info.state = option(info.state)
        else:
            option.apply(info)
    made = ExecOp(info.state, info)
    after = state.WithOutput(made.outputs[id(made.root)])
    result = ExecState(out=after.out, prev=after.prev, key=after.key, value=after.value)
    object.__setattr__(result, "exec", made)
    return result


def _mount(target: str, source: State, options: Sequence[Any]) -> MountPoint:
    made = MountPoint(target, source.Output())
    apply_all(made, options)
    return made


def _on_state(change: Callable[[State], State]) -> Change:
    return Change(lambda info: setattr(info, "state", change(info.state)))


def _args(words: Sequence[str]) -> Change:
    return _on_state(lambda state: state.with_value("args", lambda _: tuple(words)))


def _shlex(text: str) -> Change:
    return _args(split(text))


def _append(name: str, value: Any) -> Change:
    return Change(lambda info: getattr(info, name).append(value))


def _set(name: str, value: Any = True) -> Change:
    return Change(lambda info: setattr(info, name, value))


def _device(*options: Any) -> Change:
    made = {"name": "", "optional": False}
    for option in options:
        option.apply(made)
    return _append("devices", CDIDevice(name=str(made["name"]), optional=bool(made["optional"])))


def _secret(name: str, target: str | None, options: Sequence[Any]) -> Change:
    return Change(lambda info: info.secrets.append(apply_all(Secret(name, target), options)))


def _as_env(wanted: bool) -> Change:
    def change(secret: Secret) -> None:
        if not wanted:
            secret.Env = None
        elif secret.Target is not None:
            secret.Env, secret.Target = secret.Target, None

    return Change(change)


def _several(**values: Any) -> Change:
    def change(info: Any) -> None:
        for name, value in values.items():
            setattr(info, name, value)

    return Change(change)


def _tmpfs(*options: Any) -> Change:
    size = [0]
    apply_all(size, options)
    return _set("tmpfs", size[0])


def _with(*options: StateOption) -> Change:
    return _on_state(lambda state: state.With(*options))


FUNCTIONS: Mapping[str, Any] = {
    # State options
    "AddEnv": lambda key, value: lambda state: state.AddEnv(key, value),
    "AddEnvf": lambda key, value, *values: lambda state: state.AddEnvf(key, value, *values),
    "Dir": lambda path: lambda state: state.Dir(path),
    "Dirf": lambda path, *values: lambda state: state.Dirf(path, *values),
    "User": lambda name: lambda state: state.User(name),
    "Hostname": lambda name: lambda state: state.Hostname(name),
    "Network": lambda mode: lambda state: state.Network(mode),
    "Security": lambda mode: lambda state: state.Security(mode),
    "Reset": lambda other: lambda state: state.Reset(other),
    # Run options
    "Shlex": _shlex,
    "Shlexf": lambda text, *values: _shlex(sprintf(text, *values)),
    "Args": lambda words: _args(words or ()),
    "With": _with,
    "AddExtraHost": lambda host, address: _on_state(lambda state: state.AddExtraHost(host, address)),
    "AddUlimit": lambda name, soft, hard: _on_state(lambda state: state.AddUlimit(name, soft, hard)),
    "WithCgroupParent": lambda parent: _on_state(lambda state: state.WithCgroupParent(parent)),
    "ValidExitCodes": lambda *codes: _on_state(lambda state: state.with_value("exitcodes", lambda _: codes)),
    "ReadonlyRootFS": lambda: _set("readonly"),
    "WithProxy": lambda proxy: _set("proxy", proxy),
    "ProxyEnv": structs.ProxyEnv,
    "AddCDIDevice": _device,
    "CDIDeviceName": lambda name: Change(lambda made: made.update(name=name)),
    "CDIDeviceOptional": Change(lambda made: made.update(optional=True)),
    # Mounts
    "AddMount": lambda target, state, *options: Change(
        lambda info: info.mounts.append(_mount(target, state, options))
    ),
    "Readonly": _set("readonly"),
    "SourcePath": lambda path: _set("selector", path),
    "ForceNoOutput": _set("no_output"),
    "ContentCache": lambda value: _set("content_cache", value),
    "AsPersistentCacheDir": lambda name, sharing: _set("cache", (name, sharing)),
    "Tmpfs": _tmpfs,
    "TmpfsSize": lambda size: Change(lambda made: made.__setitem__(0, size)),
    "AddSecret": lambda target, *options: _secret(target, target, options),
    "AddSecretWithDest": lambda name, target, *options: _secret(name, target, options),
    "SecretID": lambda name: _set("ID", name),
    "SecretOptional": _set("Optional"),
    "SecretAsEnv": _as_env,
    "SecretAsEnvName": lambda name: _set("Env", name),
    "SecretFileOpt": lambda uid, gid, mode: _several(UID=uid, GID=gid, Mode=mode),
    "AddSSHSocket": lambda *options: Change(lambda info: info.agents.append(apply_all(Agent(), options))),
    "SSHID": lambda name: _set("ID", name),
    "SSHOptional": _set("Optional"),
    "SSHSocketTarget": lambda path: _set("Target", path),
    "SSHSocketOpt": lambda path, uid, gid, mode: _several(Target=path, UID=uid, GID=gid, Mode=mode),
    # Constants
    "CacheMountShared": 0, "CacheMountPrivate": 1, "CacheMountLocked": 2,
    "MountContentCacheDefault": 0, "MountContentCacheOn": 1, "MountContentCacheOff": 2,
    "NetModeSandbox": 0, "NetModeHost": 1, "NetModeNone": 2,
    "SecurityModeSandbox": 0, "SecurityModeInsecure": 1,
    **{
        f"Ulimit{name}": name.lower()
        for name in (
            "Core", "CPU", "Data", "Fsize", "Locks", "Memlock", "Msgqueue", "Nice", "Nofile", "Nproc", "Rss",
            "Rtprio", "Rttime", "Sigpending", "Stack",
        )
    },
}  # fmt: skip
