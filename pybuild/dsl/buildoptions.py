"""What holds for all steps of one build: network, hosts, limits, proxies, labels of the image, and its date.

A target says it as `@target(options=BuildOptions(...))`; the command line says it with the flags of `docker buildx
build` and with the build arguments that every build knows, and wins. They are those of the target that is built: what
it calls is made with the same options. Held in a context variable, as what else surrounds the code that defines a
graph (`context.py`). Mirrors frontend/dockerui/config.go of BuildKit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import attrs

from pybuild._boundary import public
from pybuild.dsl.sizes import size_in_bytes
from pybuild.errors import ArgumentError
from pybuild.llb.meta import HostIP, NetMode, ProxyEnv, Ulimit
from pybuild.location import capture

if TYPE_CHECKING:
    from pybuild.dsl.state import State

Network: TypeAlias = Literal["sandbox", "host", "none"]
Pull: TypeAlias = Literal["default", "always", "never"]

EPOCH: Final = "SOURCE_DATE_EPOCH"
_HOSTNAME: Final = "BUILDKIT_SANDBOX_HOSTNAME"
_CACHES: Final = "BUILDKIT_CACHE_MOUNT_NS"
_PROXIES: Final = ("http", "https", "ftp", "no", "all")
_NETWORKS: Final[dict[NetMode, Network]] = {NetMode.SANDBOX: "sandbox", NetMode.HOST: "host", NetMode.NONE: "none"}
_PULLS: Final[dict[str, Pull]] = {"default": "default", "pull": "always", "local": "never"}


T = TypeVar("T")


def _pairs(value: Mapping[str, str] | Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(value.items()) if isinstance(value, Mapping) else tuple(value)


def _hosts(value: Mapping[str, str | Sequence[str]] | Sequence[HostIP]) -> tuple[HostIP, ...]:
    if not isinstance(value, Mapping):
        return tuple(value)
    from pybuild.frontend.dockerfile.lower.options import read_hosts

    texts = [
        f"{name}={address}"
        for name, found in value.items()
        for address in ([found] if isinstance(found, str) else found)
    ]
    return _read("hosts", lambda: tuple(host for text in texts for host in read_hosts(text)))


def _ulimits(value: Mapping[str, int | tuple[int, int]] | Sequence[Ulimit]) -> tuple[Ulimit, ...]:
    if not isinstance(value, Mapping):
        return tuple(value)
    from pybuild.frontend.dockerfile.lower.options import read_ulimits

    texts = [f"{name}={limit if isinstance(limit, int) else f'{limit[0]}:{limit[1]}'}" for name, limit in value.items()]
    return _read("ulimits", lambda: tuple(limit for text in texts for limit in read_ulimits(text)))


def _proxies(value: Mapping[str, str] | ProxyEnv | None) -> ProxyEnv | None:
    if not isinstance(value, Mapping):
        return value
    wrong = next((name for name in value if name not in _PROXIES), None)
    if wrong is not None:
        raise _wrong(f'there is no proxy "{wrong}"', f"one of {', '.join(_PROXIES)}")
    return ProxyEnv(**{f"{name}_proxy": text for name, text in value.items()}) if value else None


def _size(value: int | str) -> int:
    return size_in_bytes(value, "BuildOptions(): shm_size")


def _epoch(value: int | str | State | None) -> int | str | State | None:
    return int(value) if isinstance(value, str) and value.lstrip("+-").isdecimal() else value


def _read(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise _wrong(f"{what}: {error}") from None


def _wrong(message: str, hint: str = "") -> ArgumentError:
    return ArgumentError(f"BuildOptions(): {message}", locations=[capture()], hint=hint)


@attrs.frozen(kw_only=True)
class BuildOptions:
    """What holds for all steps of a build, and for the image; what is left out is as always.

    Args:
        network: of the runs that say nothing of it.
        hosts: addresses by name, one or several: lines in the /etc/hosts of every run.
        hostname: what runs see as the name of their machine: BUILDKIT_SANDBOX_HOSTNAME.
        ulimits: resource limits of every run by name, one for both or `(soft, hard)`, such as `{"nofile": 1024}`.
        shm_size: size of /dev/shm in bytes, or text such as `64m`.
        cgroup_parent: the cgroup that runs are put below.
        proxies: `http`, `https`, `ftp`, `no` and `all`, for every run, and no part of what a step is cached by.
        cache_namespace: goes before the names of all cache mounts: BUILDKIT_CACHE_MOUNT_NS.
        pull: how images are looked up that say nothing of it.
        labels: of the image, over its own, without an entry in its history.
        epoch: SOURCE_DATE_EPOCH: when the image and its files are said to be made, in seconds since 1970; or a state
            that is one download or git repository, whose date it is, or the name of such a target, or `context`.

    Raises:
        ArgumentError: a value is wrong.

    Example:
        >>> from pybuild import BuildOptions, image, target
        >>> @target(options=BuildOptions(network="none", ulimits={"nofile": (1024, 2048)}))
        ... def app():
        ...     return image("alpine").run("make")
    """

    network: Network | None = None
    hosts: tuple[HostIP, ...] = attrs.field(default=(), converter=_hosts)
    hostname: str = ""
    ulimits: tuple[Ulimit, ...] = attrs.field(default=(), converter=_ulimits)
    shm_size: int = attrs.field(default=0, converter=_size)
    cgroup_parent: str = ""
    proxies: ProxyEnv | None = attrs.field(default=None, converter=_proxies)
    cache_namespace: str = ""
    pull: Pull | None = None
    labels: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_pairs)
    epoch: int | str | State | None = attrs.field(default=None, converter=_epoch)

    def over(self, other: BuildOptions) -> BuildOptions:
        """These, and where they say nothing, those of `other`; labels are put together.

        Example:
            >>> BuildOptions(network="host").over(BuildOptions(network="none", hostname="builder"))
            BuildOptions(network='host', hostname='builder')
        """
        said = dict(self._said())
        said["labels"] = {**dict(other.labels), **dict(self.labels)}
        return attrs.evolve(other, **said)

    def _said(self) -> list[tuple[str, Any]]:
        fields = attrs.fields_dict(BuildOptions)
        return [(name, getattr(self, name)) for name in fields if getattr(self, name) != fields[name].default]

    def __repr__(self) -> str:
        return f"BuildOptions({', '.join(f'{name}={value!r}' for name, value in self._said())})"


NO_OPTIONS: Final = BuildOptions()


def is_predefined(name: str) -> bool:
    """Whether a build argument is one that every build knows, declared or not."""
    return name in (EPOCH, _HOSTNAME, _CACHES) or name.lower() in (f"{kind}_proxy" for kind in _PROXIES)


def from_arguments(given: Mapping[str, str]) -> BuildOptions:
    """What the predefined ones among build arguments say.

    Example:
        >>> from_arguments({"HTTP_PROXY": "http://proxy", "VERSION": "1"}).proxies.http_proxy
        'http://proxy'
    """
    if not any(map(is_predefined, given)):
        return NO_OPTIONS
    from pybuild.frontend.dockerfile.lower.args import proxy_env

    return BuildOptions(
        hostname=given.get(_HOSTNAME, ""),
        cache_namespace=given.get(_CACHES, ""),
        proxies=proxy_env(given),
        epoch=given.get(EPOCH),
    )


def from_frontend(raw: Mapping[str, str]) -> BuildOptions:
    """The options of a frontend, by BuildKit's names, as far as they are about steps and the image.

    Raises:
        FrontendError: one of them is wrong.

    Example:
        >>> from_frontend({"force-network-mode": "host", "add-hosts": "db=10.0.0.2", "label:a": "1"}).network
        'host'
    """
    if not raw:
        return NO_OPTIONS
    from pybuild.frontend.dockerfile.lower.options import read_options
    from pybuild.platform import host_platform

    read = read_options(raw, host_platform())
    return BuildOptions(
        network=_NETWORKS[read.network] if raw.get("force-network-mode") else None,
        hosts=read.extra_hosts,
        hostname=read.hostname,
        ulimits=read.ulimits,
        shm_size=read.shm_size,
        cgroup_parent=read.cgroup_parent,
        pull=_PULLS[read.resolve_mode] if read.resolve_mode != "default" else None,
        labels=read.labels,
    ).over(from_arguments(read.build_args))


@attrs.frozen
class Asked:
    """What was asked of the build that targets are made for.

    Attributes:
        options: those of the command line; inside of a target, all that hold.
        arguments: the arguments of the command line as text.
        within: whether a target is being made: then those of other targets count no more.
    """

    options: BuildOptions = NO_OPTIONS
    arguments: tuple[tuple[str, str], ...] = ()
    within: bool = False


_NOTHING_ASKED: Final = Asked()
_asked: ContextVar[Asked] = ContextVar("pybuild_build_options", default=_NOTHING_ASKED)


def asked() -> Asked:
    """What was asked for."""
    return _asked.get()


def options() -> BuildOptions:
    """The options that hold."""
    return _asked.get().options


@contextmanager
def asking(wanted: Asked) -> Generator[None]:
    """Within the block, `wanted` is what was asked for."""
    token = _asked.set(wanted)
    try:
        yield
    finally:
        _asked.reset(token)


@contextmanager
def building_with(given: BuildOptions) -> Generator[None]:
    """Within the block, targets are built with `given`, which win over their own."""
    with asking(attrs.evolve(_asked.get(), options=given)):
        yield


@public
def source_date_epoch() -> str | None:
    """The date of the build in seconds since 1970, as text: SOURCE_DATE_EPOCH; None when nothing gives one.

    Example:
        >>> from pybuild import image, source_date_epoch
        >>> image("alpine").arg(SOURCE_DATE_EPOCH=source_date_epoch()).run("make")
        <ExecState make>
    """
    found = options().epoch
    return None if found is None else str(found)
