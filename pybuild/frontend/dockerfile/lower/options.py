"""The options of a build as frontends get them: text by name, read into values. Mirrors frontend/dockerui/config.go.

These are the names that `docker build` sends to BuildKit (`build-arg:NAME`, `platform`, `no-cache` ...), so the same
mapping works for every client. `README` of the language half explains the Dockerfile's own directives.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import TypeVar

import attrs

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.csvfields import fields
from pybuild.frontend.dockerfile.lint import LintOptions, parse_options
from pybuild.frontend.dockerfile.lower import platforms
from pybuild.llb.meta import HostIP, LinuxResources, NetMode, Ulimit
from pybuild.platform import Platform
from pybuild.values import Value

_ULIMITS = frozenset(
    {
        *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio"),
        *("rttime", "sigpending", "stack"),
    }
)
_NETWORKS = {"": NetMode.SANDBOX, "sandbox": NetMode.SANDBOX, "none": NetMode.NONE, "host": NetMode.HOST}
_MAX_CPU = 8192

T = TypeVar("T")
R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Options(Value):
    """What a build was asked for.

    Attributes:
        raw: all options as given; contexts are looked up here.
        build_args: `--build-arg`.
        labels: `--label`.
        target: `--target`, "" for the last stage.
        build_platforms: of the worker; the first one is where steps run.
        target_platforms: `--platform`, normalized; empty when not given.
        multi_platform: whether the result is to be an index, however many platforms there are.
        resolve_mode: `default`, `pull` or `local`: how images are looked up.
        no_cache: stages to run again; () is all of them, None none.
        lint: the options of BUILDKIT_DOCKERFILE_CHECK, which replace the directive's.
    """

    raw: Mapping[str, str]
    build_args: Mapping[str, str] = attrs.field(factory=dict[str, str])
    labels: Mapping[str, str] = attrs.field(factory=dict[str, str])
    target: str = ""
    build_platforms: tuple[Platform, ...]
    target_platforms: tuple[Platform, ...] = ()
    multi_platform: bool = False
    resolve_mode: str = "default"
    network: NetMode = NetMode.SANDBOX
    extra_hosts: tuple[HostIP, ...] = ()
    hostname: str = ""
    shm_size: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""
    resources: LinuxResources | None = None
    cache_namespace: str = ""
    no_cache: tuple[str, ...] | None = None
    lint: LintOptions | None = None

    def is_no_cache(self, stage: str) -> bool:
        """Whether the steps of a stage are to run again."""
        if self.no_cache is None:
            return False
        return not self.no_cache or stage.lower() in (name.lower() for name in self.no_cache)


def read_options(raw: Mapping[str, str], build_platform: Platform) -> Options:
    """Read the options.

    Args:
        raw: texts by name.
        build_platform: where steps run.

    Raises:
        FrontendError: a value does not have the form it needs.

    Example:
        >>> read_options({"build-arg:A": "1"}, Platform("linux", "amd64")).build_args
        {'A': '1'}
    """
    _refuse_removed(raw)
    targets = _platforms(raw.get("platform", ""))
    resolve_mode = raw.get("image-resolve-mode") or "default"
    if resolve_mode not in ("default", "pull", "local"):
        raise FrontendError(f"invalid image-resolve-mode: {resolve_mode}")
    hosts = _within("failed to parse additional hosts", read_hosts, raw.get("add-hosts", ""))
    shm_size = _within("failed to parse shm size", _size, raw.get("shm-size", ""))
    ulimits = _within("failed to parse ulimit", read_ulimits, raw.get("ulimit", ""))
    resources = _within("failed to parse resource limits", _resources, raw)
    network = raw.get("force-network-mode", "")
    if network not in _NETWORKS:
        raise FrontendError(f"invalid netmode {network}")
    multi_platform = _multi_platform(raw, len(targets) > 1)
    _check_cache_imports(raw.get("cache-imports", ""))
    return Options(
        raw=raw,
        build_args=_below(raw, "build-arg:"),
        labels=_below(raw, "label:"),
        target=raw.get("target", ""),
        build_platforms=(build_platform,),
        target_platforms=targets,
        multi_platform=multi_platform,
        resolve_mode=resolve_mode,
        network=_NETWORKS[network],
        extra_hosts=hosts,
        hostname=raw.get("build-arg:BUILDKIT_SANDBOX_HOSTNAME") or raw.get("hostname", ""),
        shm_size=shm_size,
        ulimits=ulimits,
        cgroup_parent=raw.get("cgroup-parent", ""),
        resources=resources,
        cache_namespace=raw.get("build-arg:BUILDKIT_CACHE_MOUNT_NS", ""),
        no_cache=_no_cache(raw),
        lint=_lint(raw),
    )


def _within(what: str, read: Callable[[T], R], value: T) -> R:
    try:
        return read(value)
    except ValueError as error:
        raise FrontendError(f"{what}: {error}") from None


def _refuse_removed(raw: Mapping[str, str]) -> None:
    if raw.get("override-copy-image"):
        raise FrontendError('support for "override-copy-image" was removed in BuildKit 0.11')
    if truth(raw.get("build-arg:BUILDKIT_DISABLE_FILEOP", "")):
        raise FrontendError('support for "BUILDKIT_DISABLE_FILEOP" build-arg was removed in BuildKit 0.11')


def truth(text: str) -> bool | None:
    """What a boolean option says; None when it is no boolean."""
    try:
        return gotext.parse_bool(text)
    except ValueError:
        return None


def _below(raw: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in raw.items() if name.startswith(prefix)}


def _platforms(text: str) -> tuple[Platform, ...]:
    found: list[Platform] = []
    for item in text.split(",") if text else ():
        try:
            found.append(platforms.normalize(platforms.parse(item)))
        except ValueError as error:
            raise FrontendError(f"failed to parse target platform {item}: {error}") from None
    return tuple(found)


def read_hosts(text: str) -> tuple[HostIP, ...]:
    """Lines of /etc/hosts from `NAME=IP,NAME=IP`. Raises ValueError with BuildKit's text."""
    found: list[HostIP] = []
    for field in fields(text) if text else ():
        host, equals, address = field.lower().partition("=")
        if not equals:
            raise ValueError(f"invalid key-value pair {field}")
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f"failed to parse IP {address}") from None
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        found.append(HostIP(host=host, ip=str(mapped or ip)))
    return tuple(found)


def _size(text: str) -> int:
    return gotext.parse_int(text, 64) if text else 0


def read_ulimits(text: str) -> tuple[Ulimit, ...]:
    """Limits from `NAME=SOFT:HARD,NAME=BOTH`. Raises ValueError with BuildKit's text."""
    return tuple(_ulimit(field) for field in fields(text)) if text else ()


def _ulimit(text: str) -> Ulimit:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    limits = value.split(":")
    if len(limits) > 2:
        raise ValueError(f"too many limit value arguments - {value}, can only have up to two, `soft[:hard]`")
    hard = gotext.parse_int(limits[-1], 64)
    soft = gotext.parse_int(limits[0], 64)
    if hard != -1 and (soft == -1 or soft > hard):
        what = f"soft: -1 (unlimited), hard: {hard}" if soft == -1 else f"{soft} > {hard}"
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {what}")
    return Ulimit(name=name, soft=soft, hard=hard)


def _resources(raw: Mapping[str, str]) -> LinuxResources | None:
    values: dict[str, int | str] = {}
    for key, field, signed in (
        ("memory", "memory", True),
        ("memswap", "memory_swap", True),
        ("cpushares", "cpu_shares", False),
        ("cpuperiod", "cpu_period", False),
        ("cpuquota", "cpu_quota", True),
    ):
        if raw.get(key):
            values[field] = _limit(key, raw[key], signed=signed)
    for key, field in (("cpusetcpus", "cpuset_cpus"), ("cpusetmems", "cpuset_mems")):
        if raw.get(key):
            values[field] = _cpuset(key, raw[key])
    return LinuxResources(**values) if values else None  # type: ignore[arg-type]  # names and types are in the tables


def _limit(key: str, text: str, *, signed: bool) -> int:
    try:
        value = gotext.parse_int(text, 64) if signed else gotext.parse_uint(text, 10, 64)
    except ValueError as error:
        raise ValueError(f"invalid {key} value: {text}: {error}") from None
    if key == "memswap":
        if value < -1 or value == 0:
            raise ValueError(f"invalid {key} value: {text}: must be -1 (unlimited) or > 0")
    elif value <= 0:
        raise ValueError(f"invalid {key} value: {text}: must be > 0")
    return value


def _cpuset(key: str, text: str) -> str:
    for part in (item.strip() for item in text.split(",")):
        if not part:
            continue
        low, dash, high = part.partition("-")
        ends = [_cpu(item.strip() if dash else item) for item in ((low, high) if dash else (low,))]
        kind = "range" if dash else "element"
        if any(end is None or end < 0 for end in ends) or (ends[-1] or 0) < (ends[0] or 0):
            raise ValueError(f'invalid {key} value: {text}: invalid cpuset {kind} "{part}"')
        if (ends[-1] or 0) > _MAX_CPU:
            raise ValueError(f'invalid {key} value: {text}: cpuset {kind} "{part}" exceeds maximum {_MAX_CPU}')
    return text


def _cpu(text: str) -> int | None:
    try:
        return gotext.parse_int(text, 64)
    except ValueError:
        return None


def _multi_platform(raw: Mapping[str, str], several: bool) -> bool:
    text = raw.get("build-arg:BUILDKIT_MULTI_PLATFORM") or raw.get("multi-platform", "")
    if not text:
        return several
    wanted = truth(text)
    if wanted is None:
        raise FrontendError(f"invalid boolean value for multi-platform: {text}")
    if not wanted and several:
        raise FrontendError("conflicting config: returning multiple target platforms is not allowed")
    return wanted


def _no_cache(raw: Mapping[str, str]) -> tuple[str, ...] | None:
    if "no-cache" not in raw:
        return None
    return tuple(raw["no-cache"].split(",")) if raw["no-cache"] else ()


def _check_cache_imports(text: str) -> None:
    if not text:
        return
    try:
        json.loads(text)
    except ValueError as error:
        problem = _json_problem(text, error)
        raise FrontendError(f"failed to unmarshal cache-imports ({gotext.quote(text)}): {problem}") from None


def _json_problem(text: str, error: ValueError) -> str:
    """What Go's decoder says: of a text that stops too early, or of a character that does not belong there."""
    if not isinstance(error, json.JSONDecodeError) or error.pos >= len(text.rstrip()) - 1:
        return "unexpected end of JSON input"
    return f"invalid character {gotext.quote(text[error.pos])[1:-1]!r} looking for beginning of value"


def _lint(raw: Mapping[str, str]) -> LintOptions | None:
    text = raw.get("build-arg:BUILDKIT_DOCKERFILE_CHECK")
    if text is None:
        return None
    try:
        return parse_options(text)
    except FrontendError as error:
        raise FrontendError(f"failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK: {error.message}") from None
