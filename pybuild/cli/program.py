"""What a command is about: a target of a Buildfile, or a stage of a Dockerfile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pybuild.cli import dockerflags, flags
from pybuild.request import Invocation
from pybuild.values import Value

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from pybuild._request import Heads
    from pybuild.dsl.state import State
    from pybuild.frontend.dockerfile.inputs import Inputs
    from pybuild.frontend.dockerfile.lint import LintWarning
    from pybuild.protocols import OutputSpec
    from pybuild.session.secrets import EnvironmentSecret, SecretValue


@attrs.frozen(kw_only=True)
class Program(Value):
    """What to build.

    Attributes:
        name: of the target or stage.
        heads: what it is for each platform that it is to be built for.
        output: what to do with the result, where it says so itself.
        no_cache: names of what is to run again.
        epoch: SOURCE_DATE_EPOCH in seconds, where the definition decides it.
        warnings: of the lint rules.
        invocation: what it was made from.
        keep: what must live as long as the build.
    """

    name: str
    heads: Heads
    output: OutputSpec | None = None
    no_cache: tuple[str, ...] = ()
    epoch: int | None = None
    warnings: Sequence[LintWarning] = ()
    invocation: Invocation = attrs.field(factory=Invocation)
    keep: object = attrs.field(default=None, repr=False)

    @property
    def state(self) -> State:
        """What it is for the first platform."""
        return self.heads[0][1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to build: file, target or context, arguments, and what only Dockerfiles know."""
    flags.add_target(parser)
    dockerflags.add_arguments(parser)


def load(options: argparse.Namespace, secrets: Mapping[str, SecretValue | EnvironmentSecret] | None = None) -> Program:
    """What the command line names.

    Args:
        options: of the command.
        secrets: for contexts behind a login.

    Raises:
        UsageError: a flag's value is wrong, or a flag is for the other kind of file.
        PybuildError: the definition is wrong.
    """
    if dockerflags.is_dockerfile(options):
        return _dockerfile(options, secrets)
    from pybuild._request import heads_of
    from pybuild.dsl.buildoptions import building_with, from_frontend

    dockerflags.refuse(options)
    buildfile, wanted = flags.load_target(options)
    given = flags.pairs(options.args, "--arg")
    with flags.value_of("build"):
        asked = from_frontend(dockerflags.frontend_options(options))

    def make() -> State:
        with building_with(asked):
            return buildfile.state(wanted.name, given)

    platforms = flags.platforms_of(options) or wanted.platforms
    names = [name for text in getattr(options, "no_cache_filter", ()) for name in text.split(",")]
    return Program(
        name=wanted.name,
        heads=heads_of(make, platforms),
        output=wanted.output,
        no_cache=("*",) if getattr(options, "no_cache", False) else tuple(names),
        invocation=Invocation(
            frontend="pybuild",
            path=buildfile.path.name,
            args=(("target", wanted.name), *((f"arg:{name}", value) for name, value in sorted(given.items()))),
        ),
    )


def inputs_of(options: argparse.Namespace) -> Inputs:
    """The Dockerfile, contexts and options that the command line names.

    Raises:
        UsageError: one is wrong.
    """
    from pybuild.frontend.dockerfile.inputs import read_inputs

    file = None if options.file == "." else options.file
    with flags.value_of("build"):
        return read_inputs(
            options.name or ".",
            file,
            options=dockerflags.frontend_options(options),
            contexts=dockerflags.contexts(options),
        )


def _dockerfile(options: argparse.Namespace, secrets: Mapping[str, SecretValue | EnvironmentSecret] | None) -> Program:
    from pybuild._dockerfile import dockerfile_states
    from pybuild.platform import host_platform

    inputs = inputs_of(options)
    found = dockerfile_states(inputs, secrets=secrets)
    first = found[0]
    return Program(
        name=options.target or "",
        heads=[(item.state.platform or host_platform(), item.state) for item in found],
        epoch=first.epoch,
        warnings=first.warnings,
        invocation=Invocation(
            frontend="dockerfile.v0",
            path=inputs.options.get("filename", "Dockerfile"),
            args=tuple(sorted(dockerflags.frontend_options(options).items())),
        ),
        keep=first.keep,
    )
