"""What becomes of the files of several platforms in one place: a folder for each, or all of them together.

Mirrors `platform-split` of BuildKit's exporters local and tar (exporter/local/fs.go): `linux_amd64/`, `linux_arm64/`
when there are several platforms, no folder when there is one; the attribute asks for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from pybuild.errors import ExportError
from pybuild.exporter.attestations import attestation_files
from pybuild.exporter.attributes import Attributes
from pybuild.platform import Platform
from pybuild.protocols import ExportInput, OutputSpec, SolveRequest
from pybuild.store.tree import LayeredTree

if TYPE_CHECKING:
    from pybuild.store.store import Store


def check_outputs(request: SolveRequest) -> None:
    """Refuse, before anything has run, outputs that cannot hold what a request makes.

    Raises:
        ExportError: an image archive for Docker is to hold several platforms, or attestations.
    """
    if request.attests and any(output.type == "docker" for output in request.outputs):
        raise ExportError(
            "type=docker has no room for attestations",
            hint="use type=oci or type=registry, or leave --provenance, --sbom and --attest out",
        )
    if request.further and any(output.type == "docker" for output in request.outputs):
        raise _one_only([variant.platform for variant in request.variants])


def check_docker(source: ExportInput) -> None:
    """The same for one output. Raises ExportError."""
    if len(source.results) > 1:
        raise _one_only([result.platform for result in source.results])


def _one_only(platforms: Sequence[Platform]) -> ExportError:
    return ExportError(
        f"type=docker holds one image, and the build makes {len(platforms)}: {', '.join(map(str, platforms))}",
        hint="use type=oci for an archive with an index, type=registry to push it, or build one platform",
    )


def folder(platform: Platform) -> str:
    """The name of a platform's folder.

    Example:
        >>> folder(Platform("linux", "arm", "v7"))
        'linux_arm_v7'
    """
    return str(platform).replace("/", "_")


@attrs.frozen
class Folder:
    """The files of a platform: the folder that they go to ("": none), and what is said of them, by file name."""

    name: str
    tree: LayeredTree
    attestations: tuple[tuple[str, bytes], ...] = ()


def folders(store: Store, source: ExportInput) -> list[Folder]:
    """The files of each platform.

    Args:
        store: where results are.
        source: what to export.

    Raises:
        ExportError: without folders, two platforms have a file of the same name.
    """
    split = is_split(source.output, len(source.results))
    shared = not split and len(source.results) > 1
    found: list[Folder] = []
    for result in source.results:
        tree = LayeredTree(store.snapshots.lowers(result.ref.snapshot) if result.ref.snapshot else ())
        said = attestation_files(source.output, result, tree, shared=shared)
        found.append(Folder(folder(result.platform) if split else "", tree, tuple(said)))
    if shared:
        _check_apart(source, [each.tree for each in found])
    return found


def is_split(output: OutputSpec, count: int) -> bool:
    """Whether each platform has a folder of its own, of so many platforms. Raises ExportError."""
    return Attributes(output, ()).flag("platform-split", default=count > 1)


def _check_apart(source: ExportInput, found: Sequence[LayeredTree]) -> None:
    owners: dict[str, Platform] = {}
    for result, tree in zip(source.results, found, strict=True):
        for entry in tree.walk():
            if entry.is_dir:
                continue
            first = owners.setdefault(entry.path, result.platform)
            if first != result.platform:
                raise ExportError(
                    f'"{entry.path}" is in the results for {first} and for {result.platform}',
                    hint="leave out platform-split=false, so that each platform has a folder of its own",
                )


__all__ = ["Folder", "check_docker", "check_outputs", "folder", "folders", "is_split"]
