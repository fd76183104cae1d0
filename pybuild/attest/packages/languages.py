"""Packages of Python and npm: what installers leave beside the files (PEP 376 and 627; npm's package.json)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, cast

from pybuild.attest.packages.package import Package, paragraphs, read_text
from pybuild.attest.purl import purl

if TYPE_CHECKING:
    from pybuild.store.tree import LayeredTree

_METADATA: Final = (".dist-info/METADATA", ".egg-info/PKG-INFO", ".egg-info")
_UNKNOWN: Final = frozenset({"", "UNKNOWN"})


def language_package(tree: LayeredTree, path: str) -> Package | None:
    """The package that a file tells of; None for any other file.

    Args:
        tree: holds it.
        path: absolute in the tree.
    """
    if path.endswith("/package.json"):
        return _npm(tree, path) if _is_installed(path) else None
    return _python(tree, path) if path.endswith(_METADATA) else None


def _python(tree: LayeredTree, path: str) -> Package | None:
    text = read_text(tree, path)
    found = next(paragraphs(text or ""), None)
    if found is None:
        return None
    name, version = found.get("Name", ""), found.get("Version", "")
    if not name or not version:
        return None
    license_ = found.get("License-Expression", "") or found.get("License", "")
    return Package(
        kind="pypi",
        name=name,
        version=version,
        purl=purl("pypi", re.sub(r"[-_.]+", "-", name).lower(), version),
        license="" if license_ in _UNKNOWN or "\n" in license_ else license_,  # whole texts are no names
        supplier=found.get("Author", "") if found.get("Author", "") not in _UNKNOWN else "",
        source=path,
    )


def _is_installed(path: str) -> bool:
    """`.../node_modules/NAME/package.json` or `.../node_modules/@SCOPE/NAME/package.json`."""
    parts = PurePosixPath(path).parts
    return parts[-3:-2] == ("node_modules",) or (
        parts[-4:-3] == ("node_modules",) and len(parts) > 3 and parts[-3].startswith("@")
    )


def _npm(tree: LayeredTree, path: str) -> Package | None:
    try:
        loaded: object = json.loads(read_text(tree, path) or "null")
    except ValueError:
        return None
    if not isinstance(loaded, dict):
        return None
    found = cast("Mapping[str, Any]", loaded)
    name, version, license_ = found.get("name"), found.get("version"), found.get("license")
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    scope, _, last = name.rpartition("/")
    return Package(
        kind="npm",
        name=name,
        version=version,
        purl=purl("npm", last, version, namespace=scope),
        license=license_ if isinstance(license_, str) else "",
        source=path,
    )
