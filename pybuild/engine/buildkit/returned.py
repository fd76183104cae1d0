"""What a build hands back to the engine for export: one result, or one for each platform.

Mirrors frontend/dockerui/build.go and exporter/containerimage/exptypes: refs and configs by the id of their platform,
and the list of platforms in the order in which an index names them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from pybuild.engine.buildkit.gateway import Result
from pybuild.platform import Platform
from pybuild.protocols import Variant

_CONFIG: Final = "containerimage.config"
_PLATFORMS: Final = "refs.platforms"


def result_of(variants: Sequence[Variant], refs: Sequence[str], configs: Sequence[bytes]) -> Result:
    """The result of a build.

    Args:
        variants: what was asked for, one or several.
        refs: what `solve` gave for each, "" for an empty file system.
        configs: the image config of each.
    """
    names = [str(variant.platform) for variant in variants]
    if len(names) == 1:
        return Result(refs={"": refs[0]}, metadata={_CONFIG: configs[0]})
    metadata = {f"{_CONFIG}/{name}": config for name, config in zip(names, configs, strict=True)}
    listed = [{"ID": str(variant.platform), "Platform": _members(variant.platform)} for variant in variants]
    metadata[_PLATFORMS] = json.dumps({"Platforms": listed}).encode()
    return Result(refs=dict(zip(names, refs, strict=True)), metadata=metadata)


def _members(platform: Platform) -> dict[str, str]:
    members = {"architecture": platform.architecture, "os": platform.os}
    return {**members, "variant": platform.variant} if platform.variant else members
