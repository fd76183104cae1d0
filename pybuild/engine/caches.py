"""The caches of one request: what `--cache-from` names is read before the steps, what `--cache-to` names written after.

What cannot be read is a warning, and the build goes on without; what cannot be written fails the build unless
`ignore-error` is set, as with docker buildx.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from pybuild.engine.reported import reported
from pybuild.errors import CacheImportError, CapabilityError, PybuildError
from pybuild.exporter.attributes import Attributes
from pybuild.protocols import CacheSpec, ProgressSink, Ref, Session, SolveRequest, Warned
from pybuild.remotecache.export import CacheForm, KnownStep, inline_records, within, write_cache
from pybuild.remotecache.imports import ImportedCache, Imports, RemoteResult
from pybuild.remotecache.place import CachePlace, place_for
from pybuild.remotecache.reading import read_cache
from pybuild.solver.exported import known_steps
from pybuild.store.compression import COMPRESSIONS, Compression
from pybuild.store.layers import LayerForm

if TYPE_CHECKING:
    from pybuild.engine.localbuild import Build

_FORM: Final = ("compression", "compression-level", "force-compression", "oci-mediatypes", "image-manifest")
_TO: Final[Mapping[str, tuple[str, ...]]] = {
    "inline": ("mode",),
    "local": ("dest", "tag", "mode", "ignore-error", *_FORM),
    "registry": ("ref", "registry.insecure", "mode", "ignore-error", *_FORM),
}
_FROM: Final[Mapping[str, tuple[str, ...]]] = {
    "local": ("src", "tag", "digest"),
    "registry": ("ref", "registry.insecure"),
}
_IMAGES: Final = ("docker", "image", "oci", "registry")


def check_caches(request: SolveRequest) -> None:
    """Everything about a request's caches that can be wrong before anything was done.

    Raises:
        CapabilityError: a type of cache is not known here.
        ExportError: an attribute is not known, or has a wrong value.
    """
    for specs, known in ((request.cache_to, _TO), (request.cache_from, _FROM)):
        for spec in specs:
            if spec.type not in known:
                raise CapabilityError(
                    f'the embedded engine has no caches of type "{spec.type}"', hint=f"there are: {', '.join(known)}"
                )
            Attributes(spec, known[spec.type]).done()
    for spec in request.cache_to:
        _form(spec)
        _ignores_errors(spec)


def import_caches(build: Build, sink: ProgressSink, caches: tuple[ImportedCache, ...] | None = None) -> None:
    """Let a build look into the caches that its request names; what cannot be read is a warning.

    Args:
        build: not planned yet.
        sink: receives the warnings.
        caches: what another process has read of them for the same build.
    """
    build.caches = _read_caches(build.request, build.session, sink) if caches is None else caches
    build.planner.imports = Imports(build.caches)


def _read_caches(request: SolveRequest, session: Session, sink: ProgressSink) -> tuple[ImportedCache, ...]:
    """Read what the request names; what cannot be had is a warning.

    Args:
        request: with `cache_from`.
        session: knows credentials.
        sink: receives progress and warnings.
    """
    found: list[ImportedCache] = []
    for spec in request.cache_from:
        try:
            with reported(sink, f"importing cache {spec}"):
                found += read_cache(spec, place_for(spec, session.credentials))
        except CacheImportError as error:
            sink.emit(Warned(message=f"cache import: {error.message}", time=time.time(), detail=error.hint))
    return tuple(found)


def export_caches(build: Build, refs: Sequence[Ref], session: Session, sink: ProgressSink) -> None:
    """Write what the request names, after everything else.

    Args:
        build: finished.
        refs: its results, one for each platform.
        session: knows credentials.
        sink: receives progress and warnings.

    Raises:
        ExportError: a cache cannot be written, and that is not to be ignored.
    """
    request = build.request
    steps = known_steps(build.job, build.store.cache, build.planner.imports)
    for spec in request.cache_to:
        if spec.type == "inline":
            if all(output.type not in _IMAGES for output in request.outputs):
                text = "an inline cache is part of an image, and no output is one"
                sink.emit(Warned(message=text, time=time.time()))
            continue
        mode = Attributes(spec, ()).text("mode", "min")
        wanted = steps if mode == "max" else within(build.store, steps, [ref.snapshot for ref in refs])
        try:
            with reported(sink, f"exporting cache {spec}") as report:
                _export(build, wanted, spec, session, report)
        except PybuildError as error:
            if not _ignores_errors(spec):
                raise
            sink.emit(Warned(message=f"cache export: {error.message}", time=time.time(), detail=error.hint))


def _export(
    build: Build, steps: Sequence[KnownStep], spec: CacheSpec, session: Session, report: Callable[[str], None]
) -> None:
    from pybuild.engine.imageresult import image_references

    if all(not step.snapshot and step.remote is None for step in steps):
        report("no step has a result that a cache could hold")
        return
    place = place_for(spec, session.credentials, image_references(build.graph))
    places: dict[CacheSpec, CachePlace] = {}

    def place_of(result: RemoteResult) -> CachePlace:
        if result.spec not in places:
            places[result.spec] = place_for(result.spec, session.credentials)
        return places[result.spec]

    travelled = write_cache(build.store, steps, place, _form(spec), place_of, report)
    report(f"{travelled} layers were new there")


def inline_cache(build: Build) -> Callable[[Sequence[str]], bytes]:
    """What makes the records of an inline cache for an image of some layers."""
    steps = known_steps(build.job, build.store.cache, build.planner.imports)
    return partial(inline_records, build.store, steps)


def _form(spec: CacheSpec) -> CacheForm:
    given = Attributes(spec, ())
    oci = given.flag("oci-mediatypes", default=True)
    compression = cast("Compression", given.choice("compression", COMPRESSIONS, "gzip"))
    return CacheForm(
        layers=LayerForm(
            compression=compression,
            level=given.number("compression-level"),
            force=given.flag("force-compression", default=False),
        ),
        oci=oci or compression == "zstd",
        image_manifest=given.flag("image-manifest", default=oci),
    )


def _ignores_errors(spec: CacheSpec) -> bool:
    return Attributes(spec, ()).flag("ignore-error", default=False)
