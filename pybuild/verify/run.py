"""Builds one request on several engines, twice on each, and compares what came out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from pybuild.engine.choose import engine_named
from pybuild.errors import EngineUnavailable
from pybuild.protocols import OutputSpec, ProgressSink, Session, SolveRequest
from pybuild.verify.compare import Outcome, compare
from pybuild.verify.imagefiles import ImageReader
from pybuild.verify.verdict import Comparison

if TYPE_CHECKING:
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.frontend.dockerfile.inputs import Inputs
    from pybuild.platform import Platform


def verify(
    request: SolveRequest,
    engines: Sequence[str],
    session: Session,
    sink: ProgressSink,
    inputs: Inputs | None = None,
) -> list[Comparison]:
    """Compare engines on one request.

    Args:
        request: what to build; its outputs do not matter.
        engines: names or addresses; each is compared with the first.
        session: what the client offers.
        sink: receives the progress of all builds.
        inputs: of the Dockerfile that the request was made from: a BuildKit builds it with its own frontend.

    Raises:
        EngineUnavailable: fewer than two engines are named, or one is not there.
        SolveError: the definition does not build.
    """
    if len(engines) < 2:
        raise EngineUnavailable("comparing needs two engines", hint="--engines embedded,docker")
    reader = ImageReader()
    with tempfile.TemporaryDirectory(prefix="pybuild-verify-") as folder:
        outcomes = [
            _outcome(name, request, session, sink, Path(folder) / f"{number}.tar", reader, inputs)
            for number, name in enumerate(engines)
        ]
    return [compare(outcomes[0], other) for other in outcomes[1:]]


def _outcome(
    name: str,
    request: SolveRequest,
    session: Session,
    sink: ProgressSink,
    archive: Path,
    reader: ImageReader,
    inputs: Inputs | None,
) -> Outcome:
    engine = engine_named(name)
    try:
        if inputs is not None and engine.name == "buildkit":
            _build_dockerfile(engine, inputs, session, sink, archive, request.platform)
            image = reader.read(archive)
            return Outcome(engine=name, docker=_is_docker(engine), first=None, image=image, again=None)
        output = OutputSpec(type="oci", dest=str(archive))
        first = engine.run(attrs.evolve(request, outputs=(output,)), session, sink)
        image = reader.read(archive)
        archive.unlink()
        again = engine.run(attrs.evolve(request, outputs=(), no_cache=()), session, sink)
        return Outcome(engine=name, docker=_is_docker(engine), first=first, image=image, again=again)
    finally:
        if engine.name == "buildkit":
            engine.close()  # type: ignore[union-attr]  # the embedded engine holds nothing


def _build_dockerfile(
    engine: EmbeddedEngine | BuildKitEngine,
    inputs: Inputs,
    session: Session,
    sink: ProgressSink,
    archive: Path,
    platform: Platform,
) -> None:
    """What `docker build` would do: the engine's own frontend reads the Dockerfile."""
    from pybuild.engine.buildkit.export import Export
    from pybuild.engine.buildkit.progress import Progress
    from pybuild.engine.embedded import EmbeddedEngine

    assert not isinstance(engine, EmbeddedEngine)
    if inputs.dockerfile is not None:
        raise EngineUnavailable("a Dockerfile on standard input cannot be compared", hint="write it to a file")
    engine.client.build(
        frontend="dockerfile.v0",
        options={"platform": str(platform), **inputs.options},
        local_dirs=dict(inputs.directories),
        layouts=dict(inputs.layouts),
        session=session,
        exports=[Export("oci", archive)],
        progress=Progress(sink).take,
    )


def _is_docker(engine: EmbeddedEngine | BuildKitEngine) -> bool:
    from pybuild.engine.embedded import EmbeddedEngine

    return not isinstance(engine, EmbeddedEngine) and engine.client.address.docker
