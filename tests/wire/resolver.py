"""Answers of the vectors' fake image resolver: those in resolver.json, and its rule for all other references."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pybuild.errors import SourceFetchError
from pybuild.platform import Platform

Resolver = Mapping[str, Mapping[str, Mapping[str, str]]]
"""By reference and platform ("" for any): digest and config, or an error."""
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEFAULT = Platform("linux", "amd64")


class ImageAnswer(NamedTuple):
    """An image's digest and the bytes of its config."""

    digest: str
    config: bytes


def load_resolver(path: Path) -> Resolver:
    """The answers of a resolver.json; none when there is no such file."""
    found: Resolver = json.loads(path.read_text()) if path.exists() else {}
    return found


def answer(resolver: Resolver, reference: str, platform: Platform | None, default: Platform = _DEFAULT) -> ImageAnswer:
    """What the fake resolver says of an image.

    Args:
        resolver: what is written down.
        reference: the image, normalized.
        platform: what was asked for.
        default: the platform of images that the rule makes when none was asked for.

    Raises:
        SourceFetchError: it says that there is none.
    """
    from pybuild.frontend.dockerfile.lower.platforms import print_all

    name = "" if platform is None else print_all(platform)
    known = resolver.get(reference)
    found = None if known is None else known.get(name) or known.get("")
    if found is None:
        return _by_rule(reference, platform or default)
    if "error" in found:
        raise SourceFetchError(found["error"])
    return ImageAnswer(found["digest"], found["config"].encode())


def _by_rule(reference: str, platform: Platform) -> ImageAnswer:
    hashed = "sha256:" + hashlib.sha256(reference.encode()).hexdigest()
    optional = {
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
    }
    config: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    config |= {key: value for key, value in optional.items() if value}
    config["rootfs"] = {"type": "layers", "diff_ids": [hashed]}
    config["config"] = {} if platform.os == "windows" else {"Env": [_PATH]}
    return ImageAnswer(reference.partition("@")[2] or hashed, json.dumps(config).encode())
