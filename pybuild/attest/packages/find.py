"""All packages of a tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pybuild.attest.packages.alpine import alpine_packages
from pybuild.attest.packages.debian import debian_packages
from pybuild.attest.packages.languages import language_package
from pybuild.attest.packages.package import Distribution, Package, distribution_of
from pybuild.attest.packages.redhat import redhat_packages

if TYPE_CHECKING:
    from pybuild.store.tree import LayeredTree

_SYSTEM = (debian_packages, alpine_packages, redhat_packages)


def find_packages(tree: LayeredTree) -> tuple[Distribution, tuple[Package, ...]]:
    """The distribution, and every package that a tree's databases tell of; sorted, each once.

    Args:
        tree: the files of a result.
    """
    distribution = distribution_of(tree)
    found = list(_all(tree, distribution))
    unique = {(package.purl, package.source): package for package in found}
    return distribution, tuple(unique[key] for key in sorted(unique))


def _all(tree: LayeredTree, distribution: Distribution) -> Iterator[Package]:
    for read in _SYSTEM:
        yield from read(tree, distribution)
    for entry in tree.walk():
        if not entry.is_dir:
            package = language_package(tree, entry.path)
            if package is not None:
                yield package
