"""Platform specifiers as containerd's `platforms` package reads and prints them, its error messages included.

`pybuild.platform` has the value and its normal form; here a specifier keeps what the user wrote (`arm64/v8` stays), for
that is what ops and names hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from pybuild.frontend.dockerfile.gotext import quote
from pybuild.platform import Platform, host_platform

_COMPONENT = re.compile(r"[A-Za-z0-9_.-]+")
_OS_PATTERN = r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$"
_OS = re.compile(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
_KNOWN_OS = frozenset(
    {
        *("aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl"),
        *("netbsd", "openbsd", "plan9", "solaris", "windows", "zos"),
    }
)
_KNOWN_ARCH = frozenset(
    {
        *("386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips"),
        *("mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390", "s390x"),
        *("sparc", "sparc64", "wasm"),
    }
)
_ENCODED = {"%": "%25", "+": "%2B", "(": "%28", ")": "%29", "/": "%2F"}


def parse(specifier: str) -> Platform:
    """Read a specifier such as `linux/arm/v7` or `windows(10.0.17763)/amd64`, without normalizing it fully.

    Raises:
        ValueError: with containerd's message.

    Example:
        >>> print_all(parse("linux/arm64/v8")), print_all(parse("arm"))
        ('linux/arm64/v8', 'linux/arm')
    """
    if "*" in specifier:
        raise ValueError(f"{quote(specifier)}: wildcards not yet supported: invalid argument")
    parts = specifier.split("/", 3)
    os_name, version, features = _parse_os(parts[0], specifier)
    for part in parts[1:]:
        if not _COMPONENT.fullmatch(part):
            raise ValueError(
                f"{quote(part)} is an invalid component of {quote(specifier)}: platform specifier component must match "
                '"^[A-Za-z0-9_.-]+$": invalid argument'
            )
    match parts:
        case [_]:
            return _parse_one(parts[0], os_name, version, features, specifier)
        case [_, arch]:
            arch, variant = normalize_arch(arch, "")
            variant = "" if (arch, variant) == ("arm", "v7") else variant
        case [_, arch, variant]:
            arch, variant = normalize_arch(arch, variant)
            variant = "v8" if (arch, variant) == ("arm64", "") else variant
        case _:
            raise ValueError(f"{quote(specifier)}: cannot parse platform specifier: invalid argument")
    return Platform(os_name, arch, variant, version, features)


def _parse_os(part: str, specifier: str) -> tuple[str, str, tuple[str, ...]]:
    match = _OS.fullmatch(part)
    if match is None:
        raise ValueError(
            f"{quote(part)} is an invalid OS component of {quote(specifier)}: OSAndVersion specifier component must "
            f"match {quote(_OS_PATTERN)}: invalid argument"
        )
    try:
        version = _decoded(match[2] or "")
    except ValueError as error:
        raise ValueError(f"{quote(specifier)} has an invalid OS version {quote(match[2])}: {error}") from None
    return _normalize_os(match[1]), version, tuple(_features(match[3] or "", specifier))


def _features(text: str, specifier: str) -> Iterator[str]:
    for item in text.split("+")[1:]:
        try:
            feature = _decoded(item)
        except ValueError as error:
            problem = f"invalid os feature {quote(item)}: {error}"
            raise ValueError(f"{quote(specifier)} has invalid OS features: {problem}") from None
        if feature:
            yield feature


def _decoded(text: str) -> str:
    bad = _BAD_ESCAPE.search(text)
    if bad is not None:
        raise ValueError(f"invalid URL escape {quote(bad[0])}")
    return unquote(text)


def _parse_one(text: str, os_name: str, version: str, features: tuple[str, ...], specifier: str) -> Platform:
    if os_name in _KNOWN_OS:
        return Platform(os_name, host_platform().architecture, "", version, features)
    arch, variant = normalize_arch(text, "")
    variant = "" if (arch, variant) == ("arm", "v7") else variant
    if arch in _KNOWN_ARCH:
        return Platform("linux", arch, variant, version, features)
    raise ValueError(f"{quote(specifier)}: unknown operating system or architecture: invalid argument")


def _normalize_os(text: str) -> str:
    lowered = text.lower()
    return "darwin" if lowered == "macos" else lowered or "linux"


def normalize_arch(arch: str, variant: str) -> tuple[str, str]:
    """Architecture and variant in their normal form.

    Example:
        >>> normalize_arch("x86_64", ""), normalize_arch("arm", "")
        (('amd64', ''), ('arm', 'v7'))
    """
    arch, variant = arch.lower(), variant.lower()
    match arch:
        case "i386":
            return "386", ""
        case "x86_64" | "x86-64" | "amd64":
            return "amd64", "" if variant == "v1" else variant
        case "aarch64" | "arm64":
            variant = {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}.get(variant, variant)
            return "arm64", variant
        case "armhf":
            return "arm", "v7"
        case "armel":
            return "arm", "v6"
        case "arm":
            return "arm", {"": "v7", "7": "v7", "5": "v5", "6": "v6", "8": "v8"}.get(variant, variant)
        case _:
            return arch, variant


def normalize(platform: Platform) -> Platform:
    """The normal form of a platform."""
    arch, variant = normalize_arch(platform.architecture, platform.variant)
    return platform._replace(os=_normalize_os(platform.os), architecture=arch, variant=variant)


def print_short(platform: Platform) -> str:
    """`os/arch/variant`."""
    return _joined(platform.os, platform) if platform.os else "unknown"


def print_all(platform: Platform) -> str:
    """`os(version+features)/arch/variant`."""
    if not platform.os:
        return "unknown"
    version = _encoded(platform.os_version)
    features = "+".join(_encoded(item) for item in sorted({item for item in platform.os_features if item}))
    options = version + (f"+{features}" if features else "")
    return _joined(f"{platform.os}({options})" if options else platform.os, platform)


def _joined(first: str, platform: Platform) -> str:
    return "/".join(part for part in (first, platform.architecture, platform.variant) if part)


def _encoded(text: str) -> str:
    return "".join(_ENCODED.get(char, char) for char in text)
