"""Package URLs: one line that names a package of any ecosystem (package-url/purl-spec)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import attrs

from pybuild.oci.reference import parse_named
from pybuild.platform import Platform


def purl(
    type_: str, name: str, version: str = "", *, namespace: str = "", qualifiers: Mapping[str, str] | None = None
) -> str:
    """A package URL. Empty qualifiers are left out; the others are sorted.

    Example:
        >>> purl("deb", "libc6", "2.36-9+deb12u9", namespace="debian", qualifiers={"arch": "amd64"})
        'pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64'
        >>> purl("npm", "cli", "1.0.0", namespace="@angular")
        'pkg:npm/%40angular/cli@1.0.0'
    """
    parts = [*(part for part in namespace.split("/") if part), name]
    text = f"pkg:{type_}/" + "/".join(_quoted(part) for part in parts)
    if version:
        text += f"@{_quoted(version)}"
    given = sorted((key, value) for key, value in (qualifiers or {}).items() if value)
    return text + ("?" + "&".join(f"{key}={_quoted(value)}" for key, value in given) if given else "")


def image_purl(reference: str, platform: Platform | None, *, type_: str = "docker") -> str:
    """The package URL of an image, as BuildKit writes it (util/purl/image.go).

    Args:
        reference: its name, with or without tag and digest.
        platform: of the variant that is meant.
        type_: `docker`, or `oci` for images that are no registry's.

    Example:
        >>> image_purl("alpine:3.17", Platform("linux", "amd64"))
        'pkg:docker/alpine@3.17?platform=linux%2Famd64'
    """
    named = parse_named(reference)
    namespace, _, name = attrs.evolve(named, tag="", digest=None).familiar.rpartition("/")
    return purl(
        type_,
        name,
        named.tag or ("" if named.digest else "latest"),
        namespace=namespace,
        qualifiers={"digest": named.digest or "", "platform": str(platform) if platform is not None else ""},
    )


def _quoted(text: str) -> str:
    return quote(text, safe="-._~:")
