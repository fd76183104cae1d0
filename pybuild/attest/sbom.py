"""A bill of materials as an SPDX 2.3 document: what is installed in a result, as its package databases tell it.

The document is a function of the result and of its time: equal results have equal documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pybuild.attest.packages.find import find_packages
from pybuild.digest import sha256
from pybuild.protocols import Attestation

if TYPE_CHECKING:
    from pybuild.attest.packages.package import Distribution, Package
    from pybuild.store.tree import LayeredTree

PREDICATE: Final = "https://spdx.dev/Document"
FILENAME: Final = "sbom.spdx.json"
_ROOT: Final = "SPDXRef-DocumentRoot"
_NOTHING: Final = "NOASSERTION"
_EXPRESSION: Final = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")


def make_sbom(tree: LayeredTree, name: str, *, tool: str, created: float) -> Attestation:
    """The bill of materials of a result.

    Args:
        tree: its files.
        name: what the document is about, such as an image's name.
        tool: what made it, `NAME-VERSION`.
        created: when, in seconds since 1970.
    """
    distribution, packages = find_packages(tree)
    content = spdx_document(name, distribution, packages)
    moment = datetime.fromtimestamp(int(created), UTC).isoformat().replace("+00:00", "Z")
    identity = sha256(json.dumps(content, sort_keys=True).encode()).partition(":")[2]
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{re.sub(r'[^A-Za-z0-9.-]+', '-', name)}-{identity}",
        "creationInfo": {"creators": [f"Tool: {tool}"], "created": moment},
        **content,
    }
    return Attestation(predicate_type=PREDICATE, filename=FILENAME, predicate=json.dumps(document).encode())


def spdx_document(name: str, distribution: Distribution, packages: Sequence[Package]) -> Mapping[str, Any]:
    """The packages of a document, and how they belong together."""
    root = {
        "name": name,
        "SPDXID": _ROOT,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
        **({"comment": distribution.pretty} if distribution.pretty else {}),
    }
    entries = [(_identifier(package), package) for package in packages]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", _ROOT)]
    relations += [(_ROOT, "CONTAINS", identifier) for identifier, _ in entries]
    return {
        "packages": [root, *(_entry(identifier, package) for identifier, package in entries)],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }


def _identifier(package: Package) -> str:
    """An id that no other package of the document has, and that does not depend on the others."""
    mark = sha256(f"{package.purl}\0{package.source}".encode()).partition(":")[2][:16]
    return f"SPDXRef-Package-{package.kind}-{re.sub(r'[^A-Za-z0-9.-]+', '-', package.name)}-{mark}"


def _entry(identifier: str, package: Package) -> dict[str, Any]:
    supplier = " ".join(package.supplier.split())
    kind = "Person" if "@" in supplier else "Organization"
    return {
        "name": package.name,
        "SPDXID": identifier,
        "versionInfo": package.version,
        "supplier": f"{kind}: {supplier}" if supplier else _NOTHING,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "sourceInfo": f"told by {package.source}",
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _license(package),
        "copyrightText": _NOTHING,
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": package.purl}
        ],
    }


def _license(package: Package) -> str:
    """What a package says of its license, where it has the form of an SPDX expression."""
    return package.license if _EXPRESSION.fullmatch(package.license) else _NOTHING


__all__ = ["FILENAME", "PREDICATE", "make_sbom", "spdx_document"]
