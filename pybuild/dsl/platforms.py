"""The platforms that a definition may ask about: the one that steps run on, and the one that is built for.

What BUILDPLATFORM and TARGETPLATFORM are to a Dockerfile. A target is evaluated once for every platform that is asked
for; held in a context variable, as what else surrounds the code that defines a graph (`context.py`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from pybuild._boundary import public
from pybuild.platform import Platform, host_platform

_asked: ContextVar[Platform | None] = ContextVar("pybuild_target_platform", default=None)


@public
def build_platform() -> Platform:
    """The platform of this machine, whose programs run without an emulator: `FROM --platform=$BUILDPLATFORM`.

    A step that runs on it, and does not depend on `target_platform`, runs once for all platforms of a build.

    Example:
        >>> from pybuild import build_platform, image, scratch
        >>> compiler = image("golang:1.24", platform=build_platform()).copy("go.mod").run("go mod download")
        >>> app = scratch().copy(compiler.run("CGO_ENABLED=0 GOARCH=arm64 go build -o /app").path("/app"), "/app")
    """
    return host_platform()


@public
def target_platform() -> Platform:
    """The platform that a target is evaluated for; this machine's when none was asked for: TARGETPLATFORM.

    Example:
        >>> from pybuild import image, target, target_platform
        >>> @target(platforms=["linux/amd64", "linux/arm64"])
        ... def app():
        ...     return image("golang:1.24").run(f"GOARCH={target_platform().architecture} go build")
    """
    return _asked.get() or host_platform()


def asked_platform() -> Platform | None:
    """The platform that was asked for, if any was."""
    return _asked.get()


@contextmanager
def building_for(platform: Platform | None) -> Generator[None]:
    """Within the block, targets are evaluated for `platform`."""
    token = _asked.set(platform)
    try:
        yield
    finally:
        _asked.reset(token)
