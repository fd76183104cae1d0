"""Platforms: parsing, normalization and matching, as containerd's `platforms` package does it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from pybuild.errors import EngineUnavailable, ReferenceFormatError
from pybuild.shown import Printer, pretty_text

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_ARCHITECTURES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_DEFAULT_VARIANTS = {("arm64", "8"), ("arm64", "v8"), ("arm64", "v8.0"), ("amd64", "v1")}
_OS_NAMES = {"macos": "darwin"}
_ARM_VARIANTS = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}


class Platform(NamedTuple):
    """An operating system and an architecture.

    Example:
        >>> str(Platform("linux", "arm", "v7"))
        'linux/arm/v7'
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def _repr_html_(self) -> str:
        return f"<code>{self}</code>"

    def _repr_pretty_(self, printer: Printer, cycle: bool) -> None:
        pretty_text(self, printer, cycle)


def parse_platform(text: str) -> Platform:
    """Parse `os`, `architecture`, `os/arch` or `os/arch/variant`; the result is normalized.

    Raises:
        ReferenceFormatError: too many parts, or characters that do not belong there.

    Example:
        >>> parse_platform("linux/aarch64"), str(parse_platform("arm"))
        (Platform(os='linux', architecture='arm64', variant='', os_version='', os_features=()), 'linux/arm/v7')
    """
    parts = text.split("/")
    if not all(_PART.fullmatch(part) for part in parts) or len(parts) > 3:
        raise ReferenceFormatError(
            f'invalid platform "{text}"', hint="write it as os/architecture, such as linux/arm64"
        )
    if len(parts) == 1:
        only = parts[0].lower()
        if only in ("linux", "windows", "darwin", "freebsd", "macos"):
            return normalize(host_platform()._replace(os=only))
        return normalize(Platform("linux", only))
    return normalize(Platform(parts[0], parts[1], parts[2] if len(parts) == 3 else ""))


def parse_platforms(names: Iterable[str]) -> list[Platform]:
    """Platforms by name, each once, in the order in which they are named first.

    Raises:
        ReferenceFormatError: one is no platform.

    Example:
        >>> [str(platform) for platform in parse_platforms(["linux/x86_64", "linux/arm64", "linux/amd64"])]
        ['linux/amd64', 'linux/arm64']
    """
    return list(dict.fromkeys(parse_platform(name) for name in names))


def normalize(platform: Platform) -> Platform:
    """Fold aliases and default variants: `x86_64` to amd64, `arm64/v8` to arm64, arm without a variant to v7.

    Without a system it is linux.
    """
    os_name = _OS_NAMES.get(platform.os.lower(), platform.os.lower()) or "linux"
    architecture, variant = platform.architecture.lower(), platform.variant.lower()
    if architecture in _ARCHITECTURES:
        architecture, implied = _ARCHITECTURES[architecture]
        variant = variant or implied
    if (architecture, variant) in _DEFAULT_VARIANTS:
        variant = ""
    elif architecture == "arm":
        variant = _ARM_VARIANTS.get(variant, variant)
    return platform._replace(os=os_name, architecture=architecture, variant=variant)


@functools.cache
def host_platform() -> Platform:
    """The platform of this machine (Linux, whatever the system: what containers on it run)."""
    import os

    return normalize(Platform("linux", os.uname().machine if hasattr(os, "uname") else "amd64"))


def require_linux() -> None:
    """Check that the embedded engine can work on this system.

    Raises:
        EngineUnavailable: it is not Linux.
    """
    import sys

    if sys.platform != "linux":
        raise EngineUnavailable(
            f"the embedded engine needs Linux, this is {sys.platform}",
            hint="definitions, graphs and drawings work here; build on a Linux machine or in a virtual one",
        )


def matches(wanted: Platform, offered: Platform) -> bool:
    """Whether content for `offered` can be used where `wanted` is asked for: equal once normalized."""
    left, right = normalize(wanted), normalize(offered)
    same = (left.os, left.architecture, left.variant) == (right.os, right.architecture, right.variant)
    return same and (not left.os_version or left.os_version == right.os_version)


def best_match(wanted: Platform, offered: Iterable[Platform]) -> int | None:
    """The index of the best platform for `wanted`, or None.

    An equal platform wins; a 64-bit ARM host also takes 32-bit ARM, a newer ARM variant an older one, and amd64
    takes 386, in this order (as containerd's default matcher does).
    """
    candidates = [normalize(platform) for platform in offered]
    for acceptable in _acceptable(normalize(wanted)):
        for index, candidate in enumerate(candidates):
            if matches(acceptable, candidate):
                return index
    return None


def _acceptable(platform: Platform) -> list[Platform]:
    found = [platform]
    if platform.architecture == "arm64":
        found += [platform._replace(architecture="arm", variant=variant) for variant in ("v8", "v7", "v6", "v5")]
    elif platform.architecture == "arm":
        version = int(platform.variant[1:] or 7) if platform.variant[1:].isdigit() else 7
        found += [platform._replace(variant=f"v{number}") for number in range(version - 1, 4, -1)]
    elif platform.architecture == "amd64" and platform.variant:
        found.append(platform._replace(variant=""))
    if platform.architecture == "amd64":
        found.append(platform._replace(architecture="386", variant=""))
    return found
