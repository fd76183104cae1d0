"""The image config document: what a container made from an image starts with. OCI image specification, config.md.

Parsing is strict about types and lenient about unknown members, which are kept and written back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

from pybuild.digest import Digest
from pybuild.errors import DefinitionError
from pybuild.platform import Platform

Pairs = tuple[tuple[str, str], ...]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@attrs.frozen(kw_only=True)
class Healthcheck:
    """How to find out whether a container works. Durations in nanoseconds; 0 inherits."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@attrs.frozen(kw_only=True)
class History:
    """How one layer, or one change of the config, came to be. `created` is RFC 3339 or empty."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@attrs.frozen(kw_only=True)
class ContainerConfig:
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
class ImageConfig:
    """The whole document."""

    platform: Platform
    config: ContainerConfig = ContainerConfig()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    author: str = ""
    other: tuple[tuple[str, str], ...] = ()

    def environment(self) -> dict[str, str]:
        """The environment variables, in order."""
        return dict(item.partition("=")[::2] for item in self.config.env)


def scratch_config(platform: Platform) -> ImageConfig:
    """What a result without a base image starts from: a PATH and the working directory `/`, as in BuildKit."""
    return ImageConfig(platform=platform, config=ContainerConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/"))


def parse_image_config(data: bytes) -> ImageConfig:
    """Parse the JSON document.

    Raises:
        DefinitionError: it is not JSON, or a member has the wrong type.
    """
    try:
        document = json.loads(data)
        return _from_document(document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DefinitionError(f"invalid image config: {error}") from error


def _from_document(document: dict[str, object]) -> ImageConfig:
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
    raw = document.get("config") or {}
    rootfs = document.get("rootfs") or {}
    features = document.get("os.features") or ()
    history = document.get("history") or ()
    assert isinstance(raw, dict)
    assert isinstance(rootfs, dict)
    assert isinstance(features, list | tuple)
    assert isinstance(history, list | tuple)
    return ImageConfig(
        platform=Platform(
            str(document.get("os") or "linux"),
            str(document.get("architecture") or ""),
            str(document.get("variant") or ""),
            str(document.get("os.version") or ""),
            tuple(str(item) for item in features),
        ),
        config=_container_config(raw),
        diff_ids=tuple(Digest(str(item)) for item in rootfs.get("diff_ids") or ()),
        history=tuple(
            History(
                created=str(entry.get("created") or ""),
                created_by=str(entry.get("created_by") or ""),
                author=str(entry.get("author") or ""),
                comment=str(entry.get("comment") or ""),
                empty_layer=bool(entry.get("empty_layer")),
            )
            for entry in history
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
    labels = raw.get("Labels") or {}
    assert isinstance(labels, dict)
    return ContainerConfig(
        user=str(raw.get("User") or ""),
        env=_strings(raw.get("Env")) or (),
        entrypoint=_strings(raw.get("Entrypoint")),
        cmd=_strings(raw.get("Cmd")),
        working_dir=str(raw.get("WorkingDir") or ""),
        labels=tuple(sorted((str(key), str(value)) for key, value in labels.items())),
        exposed_ports=_names(raw.get("ExposedPorts")),
        volumes=_names(raw.get("Volumes")),
        stop_signal=str(raw.get("StopSignal") or ""),
        shell=_strings(raw.get("Shell")),
        healthcheck=_healthcheck(check) if isinstance(check, dict) else None,
        on_build=_strings(raw.get("OnBuild")) or (),
        args_escaped=bool(raw.get("ArgsEscaped")),
        other=tuple((name, json.dumps(value)) for name, value in raw.items() if name not in _CONTAINER_MEMBERS),
    )


def _strings(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError(f"expected a list of strings, got {value!r}")
    return tuple(str(item) for item in value)


def _names(value: object) -> tuple[str, ...]:
    return tuple(sorted(str(name) for name in value)) if isinstance(value, dict | list) else ()


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
