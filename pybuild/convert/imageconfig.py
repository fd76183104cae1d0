"""An image config as the call that sets it, for what a Buildfile starts with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from pybuild.convert.layout import Call
from pybuild.convert.literals import literal
from pybuild.frontend.dockerfile.instructions import HealthTest
from pybuild.frontend.dockerfile.lower.gojson import duration
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.oci.imageconfig import Healthcheck
from pybuild.platform import Platform


def config_call(config: Image, platform: Platform | None = None) -> Call:
    """The call that sets a config; what it says of the platform only where that is not the build's.

    Example:
        >>> from pybuild.frontend.dockerfile.lower.image import Image
        >>> config_call(Image(os="linux", env=["A=1"], user="me"), Platform("linux", "amd64")).line
        'image_config({"architecture": "", "os": "linux", "config": {"User": "me", "Env": ["A=1"]}})'
    """
    document: dict[str, object] = json.loads(config.text())
    for name in ("rootfs", "history", "created"):
        document.pop(name, None)
    if config.platform == platform:
        for name in ("architecture", "os", "variant", "os.version", "os.features"):
            document.pop(name, None)
    return Call("image_config", [_code(document)])


def _code(value: object) -> str:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return "{" + ", ".join(f"{literal(name)}: {_code(item)}" for name, item in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_code, cast("list[object]", value))) + "]"
    return literal(value) if isinstance(value, str) else repr(value)


def healthcheck_call(health: HealthTest | Healthcheck) -> Call:
    """The call that sets a health check."""
    kind, *rest = health.test
    if kind == "NONE":
        shown = "None"
    elif kind == "CMD-SHELL":
        shown = literal(rest[0])
    else:
        shown = f"[{', '.join(map(literal, rest))}]"
    call = Call("healthcheck", [shown])
    for name in ("interval", "timeout", "start_period", "start_interval"):
        value: int = getattr(health, name)
        call.add(name, literal(_duration(value)) if value else None)
    return call.add("retries", str(health.retries) if health.retries else None)


def _duration(nanoseconds: int) -> str:
    return duration(nanoseconds).replace("m0s", "m").replace("h0m", "h")
