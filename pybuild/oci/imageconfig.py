"""The image config document: what a container made from an image starts with. OCI image specification, config.md.

Parsing is strict about types and lenient about unknown members, which are kept and written back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import attrs

from pybuild.digest import Digest
from pybuild.errors import DefinitionError
from pybuild.oci.document import as_list, as_names, as_object, as_pairs, as_strings, load_object
from pybuild.platform import Platform
from pybuild.shown import pretty_text
from pybuild.values import Value

Pairs = tuple[tuple[str, str], ...]

CACHE_MEMBER = "moby.buildkit.cache.v0"
"""The member that tells which steps made the image: an inline cache, base64 of JSON (see remotecache/config.py)."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@attrs.frozen(kw_only=True)
class Healthcheck(Value):
    """How to find out whether a container works. Durations in nanoseconds; 0 inherits."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@attrs.frozen(kw_only=True)
class History(Value):
    """How one layer, or one change of the config, came to be. `created` is RFC 3339 or empty."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@attrs.frozen(kw_only=True)
class ContainerConfig(Value):
    """The `config` member. None means absent, an empty tuple means present and empty."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: Pairs = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    args_escaped: bool = False
    other: tuple[tuple[str, str], ...] = ()
    """Unknown members as (name, JSON text)."""


@attrs.frozen(kw_only=True)
class ImageConfig(Value):
    """The whole document."""

    platform: Platform
    config: ContainerConfig = ContainerConfig()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    author: str = ""
    other: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The document."""
        return json.dumps(json.loads(dump_image_config(self)), indent=2, ensure_ascii=False)

    def _repr_html_(self) -> str:
        from html import escape

        return f'<pre style="font-family: monospace; font-size: 12px">{escape(str(self))}</pre>'

    _repr_pretty_ = pretty_text

    def environment(self) -> dict[str, str]:
        """The environment variables, in order."""
        return variables(self.config.env)


def variables(items: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping, in order; the last value of a name counts.

    Example:
        >>> variables(["A=1", "B=x=y"])
        {'A': '1', 'B': 'x=y'}
    """
    pairs = (item.partition("=") for item in items)
    return {name: value for name, _, value in pairs}


def scratch_config(platform: Platform) -> ImageConfig:
    """What a result without a base image starts from: a PATH and the working directory `/`, as in BuildKit."""
    return ImageConfig(platform=platform, config=ContainerConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/"))


def parse_image_config(data: bytes) -> ImageConfig:
    """Parse the JSON document.

    Raises:
        DefinitionError: it is not JSON, or a member has the wrong type.
    """
    try:
        return _from_document(load_object(data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DefinitionError(f"invalid image config: {error}") from error


def _from_document(document: Mapping[str, object]) -> ImageConfig:
    known = {
        "architecture",
        "os",
        "variant",
        "os.version",
        "os.features",
        "config",
        "rootfs",
        "history",
        "created",
        "author",
    }
    return ImageConfig(
        platform=Platform(
            str(document.get("os") or "linux"),
            str(document.get("architecture") or ""),
            str(document.get("variant") or ""),
            str(document.get("os.version") or ""),
            as_strings(document.get("os.features")),
        ),
        config=_container_config(as_object(document.get("config"))),
        diff_ids=tuple(Digest(item) for item in as_strings(as_object(document.get("rootfs")).get("diff_ids"))),
        history=tuple(
            History(
                created=str(entry.get("created") or ""),
                created_by=str(entry.get("created_by") or ""),
                author=str(entry.get("author") or ""),
                comment=str(entry.get("comment") or ""),
                empty_layer=bool(entry.get("empty_layer")),
            )
            for entry in map(as_object, as_list(document.get("history")))
        ),
        created=str(document.get("created") or ""),
        author=str(document.get("author") or ""),
        other=tuple((name, json.dumps(value)) for name, value in document.items() if name not in known),
    )


_CONTAINER_MEMBERS = frozenset(
    {
        "User",
        "Env",
        "Entrypoint",
        "Cmd",
        "WorkingDir",
        "Labels",
        "ExposedPorts",
        "Volumes",
        "StopSignal",
        "Shell",
        "Healthcheck",
        "OnBuild",
        "ArgsEscaped",
    }
)


def _container_config(raw: Mapping[str, object]) -> ContainerConfig:
    check = raw.get("Healthcheck")
    return ContainerConfig(
        user=str(raw.get("User") or ""),
        env=_strings(raw.get("Env")) or (),
        entrypoint=_strings(raw.get("Entrypoint")),
        cmd=_strings(raw.get("Cmd")),
        working_dir=str(raw.get("WorkingDir") or ""),
        labels=as_pairs(raw.get("Labels")),
        exposed_ports=as_names(raw.get("ExposedPorts")),
        volumes=as_names(raw.get("Volumes")),
        stop_signal=str(raw.get("StopSignal") or ""),
        shell=_strings(raw.get("Shell")),
        healthcheck=None if check is None else _healthcheck(as_object(check)),
        on_build=_strings(raw.get("OnBuild")) or (),
        args_escaped=bool(raw.get("ArgsEscaped")),
        other=tuple((name, json.dumps(value)) for name, value in raw.items() if name not in _CONTAINER_MEMBERS),
    )


def _strings(value: object) -> tuple[str, ...] | None:
    return None if value is None else as_strings(value)


def _healthcheck(raw: Mapping[str, object]) -> Healthcheck:
    def number(name: str) -> int:
        value = raw.get(name) or 0
        return int(value) if isinstance(value, int | float) else 0

    return Healthcheck(
        test=_strings(raw.get("Test")) or (),
        interval=number("Interval"),
        timeout=number("Timeout"),
        start_period=number("StartPeriod"),
        start_interval=number("StartInterval"),
        retries=number("Retries"),
    )


def dump_image_config(image: ImageConfig) -> bytes:
    """The JSON document, compact, empty members left out; the same value always gives the same bytes."""
    config = image.config
    inner: dict[str, object] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Env": list(config.env),
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "Cmd": None if config.cmd is None else list(config.cmd),
        "Healthcheck": _healthcheck_document(config.healthcheck),
        "ArgsEscaped": config.args_escaped,
        "Volumes": {path: {} for path in config.volumes},
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
        "StopSignal": config.stop_signal,
        "Shell": None if config.shell is None else list(config.shell),
        "OnBuild": list(config.on_build),
    }
    present = {name: value for name, value in inner.items() if value}
    present.update((name, json.loads(text)) for name, text in config.other)
    document: dict[str, object] = {
        "created": image.created,
        "author": image.author,
        "architecture": image.platform.architecture,
        "os": image.platform.os,
        "variant": image.platform.variant,
        "os.version": image.platform.os_version,
        "os.features": list(image.platform.os_features),
    }
    document = {name: value for name, value in document.items() if value}
    document["config"] = present
    document["rootfs"] = {"type": "layers", "diff_ids": list(image.diff_ids)}
    document["history"] = [_history_document(entry) for entry in image.history]
    document.update((name, json.loads(text)) for name, text in image.other if name not in document)
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _healthcheck_document(check: Healthcheck | None) -> dict[str, object] | None:
    if check is None:
        return None
    members = {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {name: value for name, value in members.items() if value}


def _history_document(entry: History) -> dict[str, object]:
    members: dict[str, object] = {
        "created": entry.created,
        "created_by": entry.created_by,
        "author": entry.author,
        "comment": entry.comment,
        "empty_layer": entry.empty_layer,
    }
    return {name: value for name, value in members.items() if value}
