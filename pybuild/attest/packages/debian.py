"""Packages of dpkg: its status file, and the one per package that images without a package manager have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from pybuild.attest.packages.package import Distribution, Package, paragraphs, read_text
from pybuild.attest.purl import purl

if TYPE_CHECKING:
    from pybuild.store.tree import LayeredTree

_STATUS: Final = "/var/lib/dpkg/status"
_PIECES: Final = "/var/lib/dpkg/status.d"


def debian_packages(tree: LayeredTree, distribution: Distribution) -> Iterator[Package]:
    """The packages that are installed."""
    for path in [_STATUS, *_pieces(tree)]:
        text = read_text(tree, path)
        for found in paragraphs(text or ""):
            name, version = found.get("Package", ""), found.get("Version", "")
            if name and version and _installed(found):
                yield _package(found, name, version, path, distribution)


def _pieces(tree: LayeredTree) -> list[str]:
    entry = tree.lookup(_PIECES)
    if entry is None or not entry.is_dir:
        return []
    return [f"{_PIECES}/{name}" for name in sorted(tree.listdir(_PIECES)) if not name.endswith(".md5sums")]


def _installed(found: Mapping[str, str]) -> bool:
    status = found.get("Status", "install ok installed").split()
    return status[-1:] == ["installed"]


def _package(found: Mapping[str, str], name: str, version: str, path: str, where: Distribution) -> Package:
    qualifiers = {"arch": found.get("Architecture", ""), "distro": where.qualifier}
    upstream, _, source_version = found.get("Source", "").partition(" ")
    if upstream:
        qualifiers["upstream"] = upstream + (f"@{source_version.strip('()')}" if source_version else "")
    return Package(
        kind="deb",
        name=name,
        version=version,
        purl=purl("deb", name, version, namespace=where.id or "debian", qualifiers=qualifiers),
        supplier=found.get("Maintainer", ""),
        source=path,
    )
