"""Which engine a name stands for.

embedded        this process, no daemon
docker          the Docker Engine of DOCKER_HOST or of the current docker context
buildkit        the buildkitd of BUILDKIT_HOST, or on its default socket
ADDRESS         such as tcp://host:1234 or docker-container://builder; see engine/buildkit/address.py
ADDRESS,ADDRESS several nodes, which share out the platforms of a build; see engine/buildkit/nodes.py
auto            buildkit when BUILDKIT_HOST is set; else embedded where that works, which is Linux; else docker
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pybuild.errors import EngineUnavailable

if TYPE_CHECKING:
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.embedded import EmbeddedEngine

NAMES = ("auto", "embedded", "docker", "buildkit")


def automatic(environment: Mapping[str, str] | None = None, system: str = sys.platform) -> tuple[str, str]:
    """The engine that "auto" stands for here, and why.

    Args:
        environment: variables; those of this process by default.
        system: as in sys.platform.

    Example:
        >>> automatic({"BUILDKIT_HOST": "tcp://build:1234"})
        ('buildkit', 'BUILDKIT_HOST is set')
        >>> automatic({}, "linux")
        ('embedded', 'it needs no daemon')
    """
    variables = os.environ if environment is None else environment
    if variables.get("BUILDKIT_HOST"):
        return "buildkit", "BUILDKIT_HOST is set"
    if system == "linux":
        return "embedded", "it needs no daemon"
    return "docker", f"the embedded engine needs Linux, this is {system}"


def engine_named(name: str) -> EmbeddedEngine | BuildKitEngine:
    """The engine of a name or address. Nothing is connected yet.

    Raises:
        EngineUnavailable: there is no engine of that name.
    """
    if name == "auto":
        name, _ = automatic()
    if name == "embedded":
        from pybuild.engine.embedded import EmbeddedEngine

        return EmbeddedEngine()
    if "," in name:
        from pybuild.engine.buildkit.nodes import SeveralNodes

        return SeveralNodes([text.strip() for text in name.split(",") if text.strip()])
    if name in NAMES or "://" in name:
        from pybuild.engine.buildkit.engine import BuildKitEngine

        return BuildKitEngine("docker://" if name == "docker" else name)
    raise EngineUnavailable(f'unknown engine "{name}"', hint=f"available: {', '.join(NAMES)}, or an address")
