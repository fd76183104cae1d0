"""`llb.State`: an output of a vertex, and values that later vertices take (environment, directory, platform ...).

As in Go everything is worked out when a graph is marshalled: values may depend on what the graph is marshalled with.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from pybuild.llb.definition import Definition
from pybuild.llb.marshal import marshal
from pybuild.llb.meta import HostIP, Ulimit
from pybuild.llb.vertex import Edge
from pybuild.platform import Platform, normalize
from tests.wire.client.constraints import Constraints, marshal_constraints
from tests.wire.client.structs import PlatformSpec
from tests.wire.golang.format import sprintf
from tests.wire.golang.lexer import Unsupported
from tests.wire.golang.standard import clean_path

Value = Callable[[Constraints], Any]
StateOption = Callable[["State"], "State"]


class Output(Protocol):
    """One output of a vertex; `platform` is that of states made from it."""

    platform: PlatformSpec | None

    def edge(self, given: Constraints) -> Edge | None: ...


@attrs.frozen
class Marshalled:
    """`llb.Definition`."""

    definition: Definition

    def ToPB(self) -> Definition:
        return self.definition


@attrs.frozen(eq=False)
class State:
    """`llb.State`."""

    out: Output | None = None
    prev: State | None = None
    key: str = ""
    value: Value | None = None
    opts: Sequence[Any] = ()
    resolve: Callable[[Constraints], State] | None = None
    """Of an asynchronous state: what it stands for."""

    # Values

    def with_value(self, key: str, value: Value) -> State:
        return State(out=self.Output(), prev=self, key=key, value=value)

    def get(self, key: str, given: Constraints, default: Any = None) -> Any:
        state: State | None = self
        while state is not None:
            if state.key == key:
                assert state.value is not None
                found = state.value(given)
                return default if found is None else found
            state = state.resolve(given) if state.resolve is not None else state.prev
        return default

    def platform(self, given: Constraints) -> Platform | None:
        found: Platform | None = self.get("platform", given)
        return found

    # Results

    def edge(self, given: Constraints) -> Edge | None:
        out = self.Output()
        return None if out is None else out.edge(given)

    def marshalled(self, options: Sequence[Any]) -> Definition:
        given = marshal_constraints(self.opts, options)
        return marshal(self.edge(given), given.of_marshal())

    def Marshal(self, context: object, *options: Any) -> tuple[Marshalled, None]:
        return Marshalled(self.marshalled(options)), None

    def SetMarshalDefaults(self, *options: Any) -> State:
        return attrs.evolve(self, opts=options)

    def Output(self) -> Output | None:
        return AsyncOutput(self.resolve) if self.resolve is not None else self.out

    def WithOutput(self, out: Output | None) -> State:
        return _with_platform(State(out=out, prev=self))

    def Async(self, function: Callable[..., tuple[State, Exception | None]]) -> State:
        return asynchronous(lambda given: _checked(function(None, self, given)))

    # What Run takes

    def AddEnv(self, key: str, value: str) -> State:
        def added(given: Constraints) -> dict[str, str]:
            env = dict(self.env(given))
            env.pop(key, None)  # a variable that is set again stands last
            return {**env, key: value}

        return self.with_value("env", added)

    def AddEnvf(self, key: str, value: str, *values: Any) -> State:
        return self.AddEnv(key, sprintf(value, *values))

    def env(self, given: Constraints) -> Mapping[str, str]:
        found: Mapping[str, str] = self.get("env", given, {})
        return found

    def Dir(self, path: str) -> State:
        def joined(given: Constraints) -> str:
            if path.startswith("/"):
                return path
            return clean_path(f"{self.get('dir', given) or '/'}/{path}")

        return self.with_value("dir", joined)

    def Dirf(self, path: str, *values: Any) -> State:
        return self.Dir(sprintf(path, *values))

    def User(self, name: str) -> State:
        return self.with_value("user", lambda _: name)

    def Hostname(self, name: str) -> State:
        return self.with_value("hostname", lambda _: name)

    def Platform(self, platform: PlatformSpec) -> State:
        return self.with_value("platform", lambda _: normalize(platform.value()))

    def Network(self, mode: int) -> State:
        return self.with_value("network", lambda _: mode)

    def Security(self, mode: int) -> State:
        return self.with_value("security", lambda _: mode)

    def AddExtraHost(self, host: str, address: str | None) -> State:
        line = HostIP(host=host, ip=address or "<nil>")
        return self.with_value("hosts", lambda given: (*self.get("hosts", given, ()), line))

    def AddUlimit(self, name: str, soft: int, hard: int) -> State:
        limit = Ulimit(name=name, soft=soft, hard=hard)
        return self.with_value("ulimits", lambda given: (*self.get("ulimits", given, ()), limit))

    def WithCgroupParent(self, parent: str) -> State:
        return self.with_value("cgroup", lambda _: parent)

    def With(self, *options: StateOption) -> State:
        made = self
        for option in options:
            made = option(made)
        return made

    def Reset(self, other: State) -> State:
        return attrs.evolve(new_state(self.Output()), prev=other)

    def WithValue(self, key: Any, value: Any) -> State:
        return self.with_value(f"user.{key}", lambda _: value)

    def WithImageConfig(self, config: bytes) -> tuple[State, None]:
        image = _read_config(config)
        inner = _lower(image.get("config") or {})
        made = self
        for item in inner.get("env") or ():
            name, _, value = item.partition("=")
            if name:
                made = made.AddEnv(name, value)
        made = made.Dir(inner.get("workingdir") or "")
        if image.get("architecture") and image.get("os"):
            made = made.Platform(
                PlatformSpec(
                    OS=image["os"],
                    Architecture=image["architecture"],
                    Variant=image.get("variant", ""),
                    OSVersion=image.get("os.version", ""),
                    OSFeatures=image.get("os.features") or [],
                )
            )
        return made, None

    # Reading values back

    def Value(self, context: object, key: Any, *options: Any) -> tuple[Any, None]:
        return self.get(f"user.{key}", Constraints()), None

    def Env(self, context: object, *options: Any) -> tuple[EnvList, None]:
        return EnvList(self.env(Constraints())), None

    def GetNetwork(self, context: object, *options: Any) -> tuple[int, None]:
        return self.get("network", Constraints(), 0), None

    def GetSecurity(self, context: object, *options: Any) -> tuple[int, None]:
        return self.get("security", Constraints(), 0), None

    def GetDir(self, context: object, *options: Any) -> tuple[str, None]:
        return self.get("dir", Constraints(), ""), None

    def GetEnv(self, context: object, key: str, *options: Any) -> tuple[str, bool, None]:
        env = self.env(Constraints())
        return env.get(key, ""), key in env, None

    def GetArgs(self, context: object, *options: Any) -> tuple[list[str], None]:
        return list(self.get("args", Constraints(), ())), None

    def GetHostname(self, context: object, *options: Any) -> tuple[str, None]:
        return self.get("hostname", Constraints(), ""), None

    def GetPlatform(self, context: object, *options: Any) -> tuple[PlatformSpec | None, None]:
        found = self.platform(Constraints())
        return None if found is None else PlatformSpec.of(found), None

    # Operations, made in their own modules

    def Run(self, *options: Any) -> Any:
        from tests.wire.client.execs import run

        return run(self, options)

    def File(self, action: Any, *options: Any) -> State:
        from tests.wire.client.files import file

        return file(self, action, options)

    def Requires(self, name: str, *dependencies: State) -> State:
        from tests.wire.client.combine import requires

        return requires(self, name, dependencies)


@attrs.frozen
class EnvList:
    """`llb.EnvList`."""

    values: Mapping[str, str]

    def ToArray(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.values.items()]

    def Keys(self) -> list[str]:
        return list(self.values)

    def Get(self, name: str) -> tuple[str, bool]:
        return self.values.get(name, ""), name in self.values


def _read_config(config: bytes) -> dict[str, Any]:
    try:
        image = json.loads(config)
    except ValueError:
        raise Unsupported("an image config that is not JSON") from None
    if not isinstance(image, dict) or not isinstance(image.get("os", ""), str):
        raise Unsupported("an image config of another form")
    return _lower(image)


def _lower(values: Mapping[str, Any]) -> dict[str, Any]:
    """Go finds fields by name whatever the case."""
    return {name.lower(): value for name, value in values.items()}


@attrs.define(eq=False)
class AsyncOutput:
    """The output of an asynchronous state."""

    resolve: Callable[[Constraints], State]
    platform: PlatformSpec | None = None

    def edge(self, given: Constraints) -> Edge | None:
        return self.resolve(given).edge(given)


def asynchronous(function: Callable[[Constraints], State]) -> State:
    """A state that is worked out once, when it is first needed."""
    found: list[State] = []

    def resolve(given: Constraints) -> State:
        if not found:
            found.append(function(given))
        return found[0]

    return State(resolve=resolve)


def new_state(out: Output | None) -> State:
    """`llb.NewState`."""
    return _with_platform(State(out=out).Dir("/"))


def _with_platform(state: State) -> State:
    platform = getattr(state.out, "platform", None)
    return state if platform is None else state.Platform(platform)


class Refused(Exception):
    """A function of the snippet returned an error."""


def _checked(result: tuple[State, Exception | None]) -> State:
    state, error = result
    if error is not None:
        raise Refused(str(error))
    return state


def parse_ip(text: str) -> str | None:
    """Go's `net.ParseIP`, as the text that the address prints as; None for none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
