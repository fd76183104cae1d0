"""Packages of apk: one file, a paragraph for each, its members of one letter (Apk spec, installed database v2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from pybuild.attest.packages.package import Distribution, Package, read_text
from pybuild.attest.purl import purl

if TYPE_CHECKING:
    from pybuild.store.tree import LayeredTree

_DATABASES: Final = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")


def alpine_packages(tree: LayeredTree, distribution: Distribution) -> Iterator[Package]:
    """The packages that are installed."""
    for path in _DATABASES:
        text = read_text(tree, path)
        if text is None:
            continue
        for block in text.split("\n\n"):
            found = _members(block)
            if "P" in found and "V" in found:
                yield _package(found, path, distribution)
        return  # the other one is the same, by way of a link


def _members(block: str) -> Mapping[str, str]:
    """The members of a package itself; those behind its first directory are of files."""
    found: dict[str, str] = {}
    for line in block.splitlines():
        if line.startswith("F:"):
            break
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name, value.strip())
    return found


def _package(found: Mapping[str, str], path: str, where: Distribution) -> Package:
    name, version = found["P"], found["V"]
    origin = found.get("o", "")
    qualifiers = {
        "arch": found.get("A", ""),
        "distro": where.qualifier,
        "upstream": origin if origin != name else "",
    }
    return Package(
        kind="apk",
        name=name,
        version=version,
        purl=purl("apk", name, version, namespace=where.id or "alpine", qualifiers=qualifiers),
        license=found.get("L", ""),
        supplier=found.get("m", ""),
        source=path,
    )
