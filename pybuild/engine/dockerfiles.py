"""Dockerfile builds on this side of the wire: inputs to a graph with its image config, which any engine can solve."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.engine.imageresult import has_whole_history, result_config
from pybuild.engine.layerhistory import layer_history
from pybuild.errors import CapabilityError
from pybuild.frontend.dockerfile.dialect import PLAIN, Dialect, dialect_in, dialect_of
from pybuild.frontend.dockerfile.directives import detect_syntax
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.frontend.dockerfile.inputs import Inputs
from pybuild.frontend.dockerfile.lint import LintWarning
from pybuild.frontend.dockerfile.lower.contexts import DOCKERFILE
from pybuild.frontend.protocols import FrontendResult
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.location import Location, Span
from pybuild.oci.imageconfig import History, dump_image_config, parse_image_config
from pybuild.platform import Platform
from pybuild.progress import ProgressEvent
from pybuild.protocols import ImagePatch, ProgressSink
from pybuild.session.local import LocalSession
from pybuild.session.secrets import EnvironmentSecret, SecretValue
from pybuild.values import Value

if TYPE_CHECKING:
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.engine.frontendhost import EmbeddedHost

Given = tuple["Edge | None", ImagePatch]
"""A result that the frontend is handed: its head, and what it changes in the config that it inherits."""
_SYNTAX_ARG: Final = "build-arg:BUILDKIT_SYNTAX"


@attrs.frozen(kw_only=True)
class LoweredDockerfile(Value):
    """A Dockerfile as a graph.

    Attributes:
        head: the result, None for scratch.
        patch: the image config of the result.
        platform: what it is for; None when no platform was asked for.
        epoch: SOURCE_DATE_EPOCH in seconds, as the build has it.
        warnings: of the lint rules.
        keep: what must live as long as the build.
    """

    head: Edge | None
    patch: ImagePatch
    platform: Platform | None
    epoch: int | None
    warnings: tuple[LintWarning, ...]
    keep: object = attrs.field(default=None, eq=False, repr=False)


def open_dockerfile(
    inputs: Inputs,
    engine: EmbeddedEngine,
    *,
    secrets: Mapping[str, SecretValue | EnvironmentSecret] | None = None,
    sink: ProgressSink | None = None,
    states: Mapping[str, Given] | None = None,
) -> DockerfileBuild:
    """Read the Dockerfile, through the engine where it is not on this machine.

    Args:
        inputs: where it is, and its options.
        engine: looks images up and fetches contexts.
        secrets: for contexts behind a login.
        sink: receives the progress of what has to be fetched; None drops it.
        states: results that named contexts refer to as `input:NAME`.

    Raises:
        FrontendError: an option is wrong, or there is no Dockerfile.
        CapabilityError: it asks for a frontend that is not this one.
    """
    from pybuild.engine.frontendhost import EmbeddedHost

    session = LocalSession(secrets=secrets, local_dirs={**inputs.directories, **inputs.layouts})
    given = states or {}
    host = EmbeddedHost(engine, session, sink or Silent(), inputs={name: head for name, (head, _) in given.items()})
    described = {f"input-metadata:{name}": _described(host, *state) for name, state in given.items()}
    build = DockerfileBuild({**inputs.options, **described}, host)
    build.dialect = _dialect(build, inputs)
    return build


def _described(host: EmbeddedHost, head: Edge | None, patch: ImagePatch) -> str:
    """The image config of a result that the frontend is handed, as it reads it."""
    config = result_config(head, head, patch, host.build_platform, host)
    document = dump_image_config(attrs.evolve(config, history=(*config.history, *_history(head, patch))))
    return json.dumps({"containerimage.config": b64encode(document).decode()})


def _history(head: Edge | None, patch: ImagePatch) -> tuple[History, ...]:
    """What the steps of a result add to the history that it inherits, where the config does not tell it already."""
    return () if has_whole_history(head, patch) else layer_history(head)


class Silent:
    """Drops all progress: implements protocols.ProgressSink."""

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""


def _dialect(build: DockerfileBuild, inputs: Inputs) -> Dialect:
    """What the Dockerfile may say: as the build argument asks, or the Dockerfile's own line.

    Raises:
        CapabilityError: another frontend than this one was asked for.
    """
    asked, line = inputs.options.get(_SYNTAX_ARG, ""), 0
    if not asked:
        directive = detect_syntax(build.text.data)
        if directive is None:
            return PLAIN
        asked, line = directive.first_word, directive.lines.first
    dialect = dialect_of(asked)
    if dialect is None:
        places = [Location.within(build.text, [Span(line, 0, line, 0)])] if line else []
        raise CapabilityError(
            f'the frontend "{asked}" is an image, which the embedded engine does not run',
            locations=places,
            hint="build it on a BuildKit: --engine docker, or --engine buildkit",
        )
    return dialect


def is_extended(inputs: Inputs) -> bool:
    """Whether a Dockerfile of this machine says what only pybuild's frontend reads."""
    data = inputs.dockerfile or b""
    folder = inputs.directories.get("dockerfile")
    if inputs.dockerfile is None and folder is not None:
        with contextlib.suppress(OSError):  # it may be elsewhere
            data = (folder / inputs.options.get("filename", DOCKERFILE)).read_bytes()
    asked = inputs.options.get(_SYNTAX_ARG, "")
    dialect = dialect_of(asked) if asked else dialect_in(data)
    return dialect is not None and dialect.extended


def lower_dockerfile(build: DockerfileBuild, inputs: Inputs) -> Sequence[LoweredDockerfile]:
    """One result for each platform that was asked for.

    Raises:
        FrontendError: with its place in the Dockerfile.
        SourceFetchError: a base image cannot be looked up.
    """
    results = build.lower()
    return [_lowered(result, build, inputs) for result in results]


def _lowered(result: FrontendResult, build: DockerfileBuild, inputs: Inputs) -> LoweredDockerfile:
    head = _located(result.head, inputs)
    patch = ImagePatch(base=parse_image_config(result.config), base_steps=len(layer_history(head)))
    return LoweredDockerfile(
        head=head,
        patch=patch,
        platform=result.platform,
        epoch=result.epoch,
        warnings=tuple(build.warnings),
        keep=inputs.keep,
    )


def _located(head: Edge | None, inputs: Inputs) -> Edge | None:
    """The graph with the client's directories behind its sources: whoever solves it finds them."""
    if head is None:
        return None

    def change(vertex: Vertex) -> Vertex:
        op = vertex.op
        if not isinstance(op, SourceOp):
            return vertex
        directory = None
        if op.scheme == "local":
            directory = inputs.directories.get(op.reference)
        elif op.scheme == "oci-layout":
            directory = inputs.layouts.get(dict(op.attrs).get("oci.store", ""))
        if directory is None:
            return vertex
        return vertex.replace(metadata=vertex.metadata.replace(local_dir=str(directory.resolve())))

    return rewrite(Graph([head]), change).heads[0]
