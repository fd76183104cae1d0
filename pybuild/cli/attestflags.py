"""`--attest`, `--provenance` and `--sbom`: what a build says of its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse

    from pybuild.protocols import AttestSpec


def add_attests(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    add = parser.add_argument
    add(
        "--attest",
        metavar="SPEC",
        action="append",
        default=[],
        help="say something of the result: type=provenance,mode=max or type=sbom",
    )
    add(
        "--provenance",
        metavar="OPTIONS",
        nargs="?",
        const="true",
        help="the same as --attest type=provenance; OPTIONS such as mode=max",
    )
    add("--sbom", metavar="true", nargs="?", const="true", help="the same as --attest type=sbom")


def attests(options: argparse.Namespace) -> tuple[AttestSpec, ...]:
    """What the flags ask for, checked.

    Raises:
        UsageError: one of them is wrong.
        CapabilityError: it cannot be made here.
    """
    if not options.attest and options.provenance is None and options.sbom is None:
        return ()
    from pybuild.attest.spec import PROVENANCE, SBOM, parse_attests, shorthand

    short = ((PROVENANCE, options.provenance), (SBOM, options.sbom))
    with flags.value_of("build"):
        return parse_attests([*options.attest, *(shorthand(kind, value) for kind, value in short if value is not None)])
