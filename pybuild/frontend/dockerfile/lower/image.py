"""The image config while a stage is lowered: a document that instructions change, and its exact text.

The text is what `json.Marshal` makes of BuildKit's `dockerspec.DockerOCIImage`: its own key order, empty members left
out, `null` where a list is missing. Members that BuildKit does not know are dropped, as it drops them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import copy
from typing import Self, cast

import attrs

from pybuild.frontend.dockerfile.lower.gojson import in_byte_order, json_text
from pybuild.oci.imageconfig import DEFAULT_PATH, Healthcheck, History
from pybuild.platform import Platform

EXPORTS = "pybuild.exports"
"""The member in which an image keeps what those get that IMPORT it; no other builder knows it, or inherits it."""
HISTORY_COMMENT = "buildkit.dockerfile.v0"
WINDOWS_PATH = r"c:\Windows\System32;c:\Windows;C:\Windows\System32\WindowsPowerShell\v1.0"
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")


def default_path(os_name: str) -> str:
    """The PATH of an image that has none."""
    return WINDOWS_PATH if os_name == "windows" else DEFAULT_PATH


@attrs.define(kw_only=True)
class Image:
    """An image config that can be changed. None is an absent list; an empty one is written as absent, too.

    `exports` are the instructions that the image offers to an IMPORT.
    """

    created: str = ""
    author: str = ""
    architecture: str = ""
    os: str = ""
    os_version: str = ""
    os_features: list[str] | None = None
    variant: str = ""
    rootfs_type: str = ""
    diff_ids: list[str] | None = None
    history: list[History] = attrs.field(factory=list[History])
    user: str = ""
    exposed_ports: dict[str, None] | None = None
    env: list[str] = attrs.field(factory=list[str])
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    volumes: dict[str, None] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: list[str] = attrs.field(factory=list[str])
    shell: list[str] | None = None
    exports: list[str] = attrs.field(factory=list[str])

    @classmethod
    def empty(cls, platform: Platform) -> Self:
        """What `FROM scratch` starts from."""
        path = [] if platform.os == "windows" else [f"PATH={default_path(platform.os)}"]
        return cls(
            architecture=platform.architecture,
            os=platform.os,
            os_version=platform.os_version,
            os_features=list(platform.os_features) or None,
            variant=platform.variant,
            rootfs_type="layers",
            working_dir="/",
            env=path,
        )

    @property
    def platform(self) -> Platform:
        """The platform that the document names."""
        return Platform(self.os, self.architecture, self.variant, self.os_version, tuple(self.os_features or ()))

    @property
    def is_empty(self) -> bool:
        """Whether the image has no layer; of schema 1 images only the history tells."""
        return not self.diff_ids and all(entry.empty_layer for entry in self.history)

    def copy(self) -> Self:
        """A copy whose changes do not show here."""
        made = copy(self)
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if isinstance(value, list | dict):
                setattr(made, field.name, copy(cast("list[object]", value)))
        return made

    def set_env(self, name: str, value: str) -> None:
        """Set a variable; one that is there keeps its place."""
        for index, item in enumerate(self.env):
            if item.partition("=")[0] == name:
                self.env[index] = f"{name}={value}"
                return
        self.env.append(f"{name}={value}")

    def has_env(self, name: str) -> bool:
        """Whether a variable is set."""
        return any(item.partition("=")[0] == name for item in self.env)

    def commit(self, created_by: str, *, layer: bool = False, created: str = "") -> None:
        """Add a history entry.

        Args:
            created_by: what was done.
            layer: whether it made a layer.
            created: when, as RFC 3339 text.
        """
        entry = History(created_by=created_by, comment=HISTORY_COMMENT, empty_layer=not layer, created=created)
        self.history.append(entry)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an image config.

        Raises:
            ValueError: it is not JSON, or a member has the wrong type.
        """
        document = _Members(json.loads(data))
        config = document.below("config")
        rootfs = document.below("rootfs")
        return cls(
            created=_time(document.text("created")),
            author=document.text("author"),
            architecture=document.text("architecture"),
            os=document.text("os"),
            os_version=document.text("os.version"),
            os_features=document.strings("os.features"),
            variant=document.text("variant"),
            rootfs_type=rootfs.text("type"),
            diff_ids=rootfs.strings("diff_ids"),
            history=[_history(_Members(entry)) for entry in document.items("history")],
            user=config.text("User"),
            exposed_ports=config.names("ExposedPorts"),
            env=config.strings("Env") or [],
            entrypoint=config.strings("Entrypoint"),
            cmd=config.strings("Cmd"),
            volumes=config.names("Volumes"),
            working_dir=config.text("WorkingDir"),
            labels=config.texts("Labels"),
            stop_signal=config.text("StopSignal"),
            args_escaped=config.flag("ArgsEscaped"),
            healthcheck=_healthcheck(config),
            on_build=config.strings("OnBuild") or [],
            shell=config.strings("Shell"),
            exports=document.strings(EXPORTS) or [],
        )

    def text(self) -> str:
        """The document's text."""
        document: dict[str, object] = _present({"created": self.created, "author": self.author})
        document |= {"architecture": self.architecture, "os": self.os}
        document |= _present({"os.version": self.os_version, "os.features": self.os_features, "variant": self.variant})
        document["rootfs"] = {"type": self.rootfs_type, "diff_ids": self.diff_ids}
        if self.history:
            document["history"] = [_history_document(entry) for entry in self.history]
        document["config"] = self._config_document()
        document |= _present({EXPORTS: self.exports})
        return json_text(document)

    def _config_document(self) -> dict[str, object]:
        return _present(
            {
                "User": self.user,
                "ExposedPorts": _set_document(self.exposed_ports),
                "Env": self.env,
                "Entrypoint": self.entrypoint,
                "Cmd": self.cmd,
                "Volumes": _set_document(self.volumes),
                "WorkingDir": self.working_dir,
                "Labels": {name: self.labels[name] for name in in_byte_order(self.labels)} if self.labels else None,
                "StopSignal": self.stop_signal,
                "ArgsEscaped": self.args_escaped,
                "Healthcheck": None if self.healthcheck is None else _healthcheck_document(self.healthcheck),
                "OnBuild": self.on_build,
                "Shell": self.shell,
            },
            keep=("Healthcheck",) if self.healthcheck is not None else (),
        )


def _present(members: Mapping[str, object], keep: tuple[str, ...] = ()) -> dict[str, object]:
    return {name: value for name, value in members.items() if value or name in keep}


def _set_document(names: dict[str, None] | None) -> dict[str, object] | None:
    return {name: {} for name in in_byte_order(names)} if names else None


def _history_document(entry: History) -> dict[str, object]:
    return _present(
        {
            "created": entry.created,
            "created_by": entry.created_by,
            "author": entry.author,
            "comment": entry.comment,
            "empty_layer": entry.empty_layer,
        }
    )


def _healthcheck_document(check: Healthcheck) -> dict[str, object]:
    return _present(
        {
            "Test": list(check.test),
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "StartInterval": check.start_interval,
            "Retries": check.retries,
        }
    )


class _Members:
    """The members of a JSON object by name (in any case, as Go's decoder takes them), checked for their types."""

    def __init__(self, value: object) -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise _mistyped(value, "an object")
        found = cast("dict[str, object]", value)
        self._exact = found
        self._folded = {name.lower(): member for name, member in found.items()}

    def _get(self, name: str) -> object:
        return self._exact[name] if name in self._exact else self._folded.get(name.lower())

    def _typed(self, name: str, kind: type) -> object:
        value = self._get(name)
        if value is not None and not isinstance(value, kind):
            raise _mistyped(value, name)
        return value

    def text(self, name: str) -> str:
        return cast("str", self._typed(name, str)) or ""

    def flag(self, name: str) -> bool:
        return bool(self._typed(name, bool))

    def number(self, name: str) -> int:
        return cast("int", self._typed(name, int)) or 0

    def below(self, name: str) -> _Members:
        return _Members(self._get(name))

    def has(self, name: str) -> bool:
        return self._get(name) is not None

    def items(self, name: str) -> list[object]:
        return cast("list[object]", self._typed(name, list)) or []

    def strings(self, name: str) -> list[str] | None:
        if not self.has(name):
            return None
        return [_text(item, name) for item in self.items(name)]

    def names(self, name: str) -> dict[str, None] | None:
        value = cast("dict[str, object] | None", self._typed(name, dict))
        return None if value is None else dict.fromkeys(value)

    def texts(self, name: str) -> dict[str, str] | None:
        value = cast("dict[str, object] | None", self._typed(name, dict))
        return None if value is None else {key: _text(item, name) for key, item in value.items()}


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _mistyped(value, name)
    return value


def _mistyped(value: object, name: str) -> ValueError:
    return ValueError(f"cannot unmarshal {type(value).__name__} into {name}")


def _history(entry: _Members) -> History:
    return History(
        created=_time(entry.text("created")),
        created_by=entry.text("created_by"),
        author=entry.text("author"),
        comment=entry.text("comment"),
        empty_layer=entry.flag("empty_layer"),
    )


def _healthcheck(config: _Members) -> Healthcheck | None:
    if not config.has("Healthcheck"):
        return None
    check = config.below("Healthcheck")
    return Healthcheck(
        test=tuple(check.strings("Test") or ()),
        interval=check.number("Interval"),
        timeout=check.number("Timeout"),
        start_period=check.number("StartPeriod"),
        start_interval=check.number("StartInterval"),
        retries=check.number("Retries"),
    )


def _time(text: str) -> str:
    """RFC 3339 as Go writes it back: no trailing zeros in the fraction."""
    if not text:
        return ""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f'parsing time "{text}" as RFC 3339')
    fraction = (match[2] or "").rstrip("0")
    return f"{match[1].upper()}{'.' if fraction else ''}{fraction}{match[3].upper()}"
