"""What progress calls the steps of a Dockerfile: `[build 2/5] RUN make`. Mirrors `prefixCommand` of dockerfile2llb."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress

from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.lower import platforms
from pybuild.frontend.dockerfile.lower.stage import StageState
from pybuild.frontend.dockerfile.shellwords import ExpansionError, Lexer
from pybuild.platform import Platform


def shown(lexer: Lexer, code: str, env: Mapping[str, str]) -> str:
    """An instruction as progress shows it: variables replaced, the keyword in upper case."""
    with suppress(ExpansionError):  # what is wrong is shown as written
        code = lexer.word(code, env).text
    keyword, blank, rest = code.partition(" ")
    return gotext.upper(keyword) + blank + rest


def step_name(
    stage: StageState, text: str, *, with_platform: bool, platform: Platform | None, env: Mapping[str, str]
) -> str:
    """`text` with stage, number and platform in front; counts the step."""
    if stage.total == 0:
        return text
    out = "["
    if with_platform and platform is not None:
        out += platforms.print_all(platform) + _cross(platform, _target_in(env)) + " "
    if stage.display:
        out += stage.display + " "
    stage.index += 1
    width = int(1 + math.log10(stage.total))
    out += f"{stage.index:>{width}}/{stage.total}] "
    return out + ("ONBUILD " if stage.in_trigger else "") + text


def _cross(base: Platform, target: Platform | None) -> str:
    """`->arm64`, for a step that makes something for another platform than it runs on."""
    if target is None:
        return ""
    filled = target._replace(os=target.os or base.os, architecture=target.architecture or base.architecture)
    wanted = platforms.normalize(filled)
    if wanted.os == base.os:
        if wanted.architecture == base.architecture:
            return ""
        return f"->{wanted.architecture}" + (f"/{wanted.variant}" if wanted.variant else "")
    return "->" + platforms.print_all(wanted)


def _target_in(env: Mapping[str, str]) -> Platform | None:
    """The platform that the stage's TARGET variables name."""
    found: dict[str, str] = {}
    for key, value in env.items():
        if key == "TARGETPLATFORM":
            try:
                return platforms.parse(value)
            except ValueError:
                continue
        part = {"TARGETOS": "os", "TARGETARCH": "architecture", "TARGETVARIANT": "variant"}.get(key)
        if part:
            found[part] = value
    if not found:
        return None
    return Platform(found.get("os", ""), found.get("architecture", ""), found.get("variant", ""))
