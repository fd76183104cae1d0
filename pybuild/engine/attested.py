"""The attestations of a finished build: what the engine knows of it, put into the words of `attest/`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal, cast

import attrs

from pybuild.attest.provenance import Facts, Material, ProvenanceOptions, make_provenance
from pybuild.attest.purl import image_purl
from pybuild.attest.spec import PROVENANCE, SBOM
from pybuild.digest import Digest
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.platform import Platform, host_platform
from pybuild.protocols import Attestation, PlatformResult, SolveRequest

if TYPE_CHECKING:
    from pybuild.engine.localbuild import Build

_NAMELESS: Final = "result"


def with_attestations(build: Build, results: Iterable[PlatformResult], started: float) -> tuple[PlatformResult, ...]:
    """The results with what the request wants to be said of each.

    Args:
        build: finished, but for its outputs.
        results: in the order of the graph's heads.
        started: when the build began, in seconds since 1970.
    """
    finished = time.time()
    wanted = {spec.type: dict(spec.attrs) for spec in build.request.attests}
    found: list[PlatformResult] = []
    for result, head in zip(results, build.graph.heads, strict=True):
        attestations: list[Attestation] = []
        if SBOM in wanted:
            attestations.append(_sbom(build, result, finished))
        if PROVENANCE in wanted:
            facts = _facts(build, result, head, started, finished)
            attestations.append(make_provenance(facts, _options(wanted[PROVENANCE])))
        found.append(attrs.evolve(result, attestations=tuple(attestations)))
    return tuple(found)


def _options(given: Mapping[str, str]) -> ProvenanceOptions:
    return ProvenanceOptions(
        mode=cast("Literal['min', 'max']", given.get("mode", "min")),
        builder_id=given.get("builder-id", ""),
        reproducible=given.get("reproducible", "") == "true",
    )


def _sbom(build: Build, result: PlatformResult, finished: float) -> Attestation:
    from pybuild import __version__
    from pybuild.attest.sbom import make_sbom
    from pybuild.store.tree import LayeredTree

    epoch = build.request.source_date_epoch
    key = result.ref.snapshot
    tree = LayeredTree(build.store.snapshots.lowers(key) if key else ())
    created = finished if epoch is None else float(epoch)
    return make_sbom(tree, _name(build.request), tool=f"pybuild-{__version__}", created=created)


def _name(request: SolveRequest) -> str:
    """What a document is about: the image's name, else the target's."""
    named = [dict(output.attrs).get("name", "").partition(",")[0] for output in request.outputs]
    return next((name for name in named if name), request.target or _NAMELESS)


def _facts(build: Build, result: PlatformResult, head: Edge | None, started: float, finished: float) -> Facts:
    graph = Graph([head])
    return Facts(
        graph=graph,
        platform=result.platform,
        build_platform=host_platform(),
        invocation=build.request.invocation,
        materials=materials(graph, result.platform, build.sources.pins),
        started=started,
        finished=finished,
        reproducible_time=build.request.source_date_epoch,
    )


def materials(graph: Graph, platform: Platform, pins: Mapping[str, str]) -> tuple[Material, ...]:
    """What came from outside, sorted, each once: images, repositories and downloads.

    Args:
        graph: as it was solved, with images pinned.
        platform: of images that name none.
        pins: what refs and URLs stood for (see `SourceSet.pins`).
    """
    found: set[Material] = set()
    for vertex in graph.vertices:
        if isinstance(vertex.op, SourceOp) and vertex.op.scheme in _MATERIALS:
            made = _MATERIALS[vertex.op.scheme](vertex, vertex.op, platform, pins)
            if made is not None:
                found.add(made)
    return tuple(sorted(found, key=lambda material: (material.uri, material.value)))


_Maker = Callable[[Vertex, SourceOp, Platform, Mapping[str, str]], "Material | None"]


def _image(vertex: Vertex, op: SourceOp, platform: Platform, _pins: Mapping[str, str]) -> Material | None:
    name, _, digest = op.reference.partition("@")
    if not digest:
        return None
    kind = "docker" if op.scheme == "docker-image" else "oci"
    return _material(image_purl(name, vertex.constraints.platform or platform, type_=kind), Digest(digest))


def _git(_vertex: Vertex, op: SourceOp, _platform: Platform, pins: Mapping[str, str]) -> Material | None:
    from pybuild.source.git import commit_of
    from pybuild.source.gitsettings import git_settings

    settings = git_settings(op)
    commit = commit_of(op, pins)
    if not commit:
        return None
    uri = settings.shown + (f"#{settings.ref}" if settings.ref else "")
    return Material(uri=uri, algorithm="sha1" if len(commit) == 40 else "sha256", value=commit)


def _http(_vertex: Vertex, op: SourceOp, _platform: Platform, pins: Mapping[str, str]) -> Material | None:
    from pybuild.source.http import download_of
    from pybuild.source.httpsettings import http_settings

    digest = download_of(op, pins)
    return None if digest is None else _material(http_settings(op).shown, digest)


def _material(uri: str, digest: Digest) -> Material:
    algorithm, _, value = digest.partition(":")
    return Material(uri=uri, algorithm=algorithm, value=value)


_MATERIALS: Final[Mapping[str, _Maker]] = {
    "docker-image": _image,
    "oci-layout": _image,
    "git": _git,
    "http": _http,
    "https": _http,
}

__all__ = ["materials", "with_attestations"]
