"""Dockerfiles from Python: `dockerfile` makes a state of one, the command line's `-f Dockerfile` uses the same way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from pybuild._boundary import public
from pybuild.dsl.platforms import asked_platform
from pybuild.dsl.state import State
from pybuild.session.secrets import EnvironmentSecret, SecretValue
from pybuild.values import Value

if TYPE_CHECKING:
    from pybuild.engine.dockerfiles import Given
    from pybuild.frontend.dockerfile.inputs import Inputs
    from pybuild.frontend.dockerfile.lint import LintWarning
    from pybuild.protocols import ProgressSink


@public
def dockerfile(
    path: str | Path | None = None,
    *,
    context: str | Path = ".",
    target: str = "",
    args: Mapping[str, str] | None = None,
    contexts: Mapping[str, str | State] | None = None,
    platform: str = "",
    syntax: str = "",
    options: Mapping[str, str] | None = None,
    secrets: Mapping[str, SecretValue] | None = None,
) -> State:
    """A stage of a Dockerfile, with its image config, to go on from.

    Base images are looked up at once, because what a Dockerfile means depends on them; nothing is built. Relative
    paths start at the directory of the Buildfile.

    Args:
        path: the Dockerfile; that of the context when left out.
        context: the build context: a directory, or the URL of a git repository or archive.
        target: the stage; the last one when empty.
        args: build arguments.
        contexts: named contexts: states, `docker-image://REF`, `oci-layout://PATH[:TAG]`, paths, URLs, or
            `target:STAGE` of the same Dockerfile.
        platform: what to build for, such as `linux/arm64`; that of the target which is evaluated, or this machine's.
        syntax: which language it is written in, as a `# syntax=` line says it: `pybuild` adds EXPORT and IMPORT.
        options: further options of the frontend, by BuildKit's names, such as `{"force-network-mode": "none"}`.
        secrets: for contexts behind a login.

    Raises:
        FrontendError: the Dockerfile is wrong; the location is its line.
        SourceFetchError: a base image cannot be looked up.

    Example:
        >>> from pybuild import dockerfile
        >>> app = dockerfile(target="app", args={"VERSION": "1.2"})  # doctest: +SKIP
        >>> app.run("make test")  # doctest: +SKIP
    """
    from pybuild.dsl.context import base_directory
    from pybuild.frontend.dockerfile.inputs import read_inputs

    given = {**(options or {}), **{f"build-arg:{name}": value for name, value in (args or {}).items()}}
    if target:
        given["target"] = target
    if syntax:
        given["build-arg:BUILDKIT_SYNTAX"] = syntax
    wanted = platform or asked_platform()
    if wanted:
        given["platform"] = str(wanted)
    texts: dict[str, str] = {}
    states: dict[str, Given] = {}
    for name, value in (contexts or {}).items():
        if isinstance(value, str):
            texts[name] = value
        else:
            texts[name], states[name] = f"input:{name}", (value.head, value.patch)
    file = None if path is None else str(path)
    inputs = read_inputs(str(context), file, options=given, contexts=texts, base=base_directory())
    return dockerfile_states(inputs, secrets=secrets, states=states)[0].state


@attrs.frozen(kw_only=True)
class DockerfileState(Value):
    """One platform of a Dockerfile build: the state, what the lint rules say, and SOURCE_DATE_EPOCH in seconds."""

    state: State
    warnings: tuple[LintWarning, ...]
    epoch: int | None
    keep: object = attrs.field(repr=False)


def dockerfile_states(
    inputs: Inputs,
    *,
    secrets: Mapping[str, SecretValue | EnvironmentSecret] | None = None,
    states: Mapping[str, Given] | None = None,
    sink: ProgressSink | None = None,
) -> list[DockerfileState]:
    """The states of a Dockerfile, one per platform asked for."""
    from pybuild._api import embedded
    from pybuild.engine.dockerfiles import lower_dockerfile, open_dockerfile

    build = open_dockerfile(inputs, embedded(), secrets=secrets, states=states, sink=sink)
    return [
        DockerfileState(
            state=State.of_frontend(found.head, found.patch, found.platform),
            warnings=found.warnings,
            epoch=found.epoch,
            keep=found.keep,
        )
        for found in lower_dockerfile(build, inputs)
    ]
