"""Builds one request on several engines, twice on each, and compares what came out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from pybuild.engine.choose import engine_named
from pybuild.errors import EngineUnavailable, PybuildError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.protocols import (
    ImagePatch,
    OutputSpec,
    ProgressEvent,
    ProgressSink,
    Session,
    SolveRequest,
    SolveResult,
    StepFinished,
)
from pybuild.temporary import TemporaryFolder
from pybuild.verify.compare import Outcome, compare
from pybuild.verify.imagefiles import ImageFiles, ImageReader
from pybuild.verify.trace import first_maker
from pybuild.verify.verdict import Comparison, Difference

if TYPE_CHECKING:
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.buildkit.pb.control_pb2 import StatusResponse
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.frontend.dockerfile.inputs import Inputs

    Engine = EmbeddedEngine | BuildKitEngine


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
    with TemporaryFolder("verify-") as folder:
        builds = [_Builds(name, request, session, sink, Path(folder) / "image.tar", inputs) for name in engines]
        try:
            _share(builds)
            outcomes = [one.outcome() for one in builds]
            return [
                _traced(compare(outcomes[0], outcome), builds[0], one)
                for one, outcome in zip(builds[1:], outcomes[1:], strict=True)
            ]
        finally:
            for one in builds:
                one.close()


def _traced(found: Comparison, left: _Builds, right: _Builds) -> Comparison:
    """The comparison, the first of whose differences says the very step that made it."""
    first = next((item for item in found.differences if item.what.startswith("/")), None)
    if first is None or left.inputs is not None or found.differences[0] is not first:
        return found

    def differ(edge: Edge) -> tuple[Outcome, Outcome] | None:
        try:
            pair = left.of(edge), right.of(edge)
        except PybuildError:  # a step that is no image of its own; what is known without it stands
            return None
        compared = compare(*pair)
        return pair if any(item.what.startswith("/") for item in compared.differences) else None

    maker = first_maker(left.head, differ)
    return found if maker is None else attrs.evolve(found, differences=(_by(first, maker), *found.differences[1:]))


def _by(difference: Difference, maker: Vertex) -> Difference:
    places = maker.locations
    return attrs.evolve(difference, step=maker.name, location=places[0] if places else None)


def _share(builds: Sequence[_Builds]) -> None:
    """Layers that several images have are read once."""
    reader = ImageReader()
    for one in builds:
        one.reader = reader


class _Recorder:
    """A sink that notes how steps ended, by their names."""

    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink
        self.states: dict[str, str] = {}

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        if isinstance(event, StepFinished):
            self.states[event.name] = event.state
        self._sink.emit(event)

    def those(self, state: str) -> frozenset[str]:
        return frozenset(name for name, found in self.states.items() if found == state)


class _Builds:
    """The builds of one engine.

    Attributes:
        inputs: of the Dockerfile, which a BuildKit builds by itself.
    """

    def __init__(
        self,
        name: str,
        request: SolveRequest,
        session: Session,
        sink: ProgressSink,
        archive: Path,
        inputs: Inputs | None,
    ) -> None:
        self.name = name
        self.inputs = inputs
        self.reader = ImageReader()
        self._request = request
        self._session = session
        self._sink = sink
        self._archive = archive
        self._engine: Engine = engine_named(name)

    @property
    def head(self) -> Edge | None:
        """What is built."""
        return self._request.graph.heads[0]

    def outcome(self) -> Outcome:
        """The image, and what a second build ran again."""
        if self.inputs is not None and self._engine.name == "buildkit":
            first, again = _Recorder(self._sink), _Recorder(self._sink)
            self._dockerfile(self.inputs, first, export=True)
            image = self._image()
            identified = self._dockerfile(self.inputs, again, export=False)
            return Outcome(
                engine=self.name,
                docker=self._is_docker,
                graph=None,
                image=image,
                cached=first.those("cached"),
                ran=again.those("done") - identified,
            )
        found, result = self._exported(self._request)
        again_result = self._run(attrs.evolve(self._request, outputs=(), no_cache=()))
        return attrs.evolve(found, cached=_names(result, "cached"), ran=_names(again_result, "done"))

    def of(self, edge: Edge) -> Outcome:
        """What one step of the request makes."""
        return self._exported(attrs.evolve(self._request, graph=Graph([edge]), patch=ImagePatch(), no_cache=()))[0]

    def close(self) -> None:
        """End the connection."""
        if self._engine.name == "buildkit":
            self._engine.close()  # type: ignore[union-attr]  # the embedded engine holds nothing

    @property
    def _is_docker(self) -> bool:
        from pybuild.engine.embedded import EmbeddedEngine

        return not isinstance(self._engine, EmbeddedEngine) and self._engine.client.address.docker

    def _exported(self, request: SolveRequest) -> tuple[Outcome, SolveResult]:
        output = OutputSpec(type="oci", dest=str(self._archive))
        result = self._run(attrs.evolve(request, outputs=(output,)))
        made = Outcome(engine=self.name, docker=self._is_docker, graph=result.graph, image=self._image())
        return made, result

    def _run(self, request: SolveRequest) -> SolveResult:
        return self._engine.run(request, self._session, self._sink)

    def _image(self) -> ImageFiles:
        image = self.reader.read(self._archive)
        self._archive.unlink()
        return image

    def _dockerfile(self, inputs: Inputs, sink: ProgressSink, *, export: bool) -> set[str]:
        """What `docker build` would do: the engine's own frontend reads the Dockerfile.

        Returns:
            The names of steps without inputs, which an engine has "done" as soon as it has looked at them.
        """
        from pybuild.engine.buildkit.export import Export
        from pybuild.engine.buildkit.progress import Progress
        from pybuild.engine.embedded import EmbeddedEngine

        assert not isinstance(self._engine, EmbeddedEngine)
        if inputs.dockerfile is not None:
            raise EngineUnavailable("a Dockerfile on standard input cannot be compared", hint="write it to a file")
        options = {**inputs.options, "platform": str(self._request.platform)}
        if export and "*" in self._request.no_cache:
            options["no-cache"] = ""
        progress = Progress(sink)
        identified: set[str] = set()

        def take(message: StatusResponse) -> None:
            identified.update(vertex.name for vertex in message.vertexes if not vertex.inputs)
            progress.take(message)

        self._engine.client.build(
            frontend="dockerfile.v0",
            options=options,
            local_dirs=dict(inputs.directories),
            layouts=dict(inputs.layouts),
            session=self._session,
            entitlements=self._request.allow,
            exports=[Export("oci", self._archive)] if export else [],
            progress=take,
        )
        return identified


def _names(result: SolveResult, state: str) -> frozenset[str]:
    """The names of the steps that ended so; sources are no steps."""
    states = {step.digest: step.state for step in result.steps}
    return frozenset(
        vertex.name
        for vertex in result.graph.vertices
        if not isinstance(vertex.op, SourceOp) and states.get(vertex.digest) == state
    )
