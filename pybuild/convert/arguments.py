"""The ARGs of a whole Dockerfile: what the parameter of each is by default, wherever it is declared.

A parameter is passed from target to target, so its default must mean the same in all of them: the ARG's own default
where all declarations agree on a plain text, else None, and each function says what that stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.instructions import Arg, ArgDefinition, Dockerfile
from pybuild.frontend.dockerfile.lower.epoch import NAME as EPOCH

PLATFORM_ARGS: Final = {
    "TARGETPLATFORM": "str(target_platform())",
    "TARGETOS": "target_platform().os",
    "TARGETOSVERSION": "target_platform().os_version",
    "TARGETARCH": "target_platform().architecture",
    "TARGETVARIANT": "target_platform().variant",
    "BUILDPLATFORM": "str(build_platform())",
    "BUILDOS": "build_platform().os",
    "BUILDOSVERSION": "build_platform().os_version",
    "BUILDARCH": "build_platform().architecture",
    "BUILDVARIANT": "build_platform().variant",
}
"""The arguments that every build has, and where a Buildfile finds their values."""
_EXTENDED: Final = {"DOCKEROS": PLATFORM_ARGS["TARGETOS"], "DOCKERARCH": PLATFORM_ARGS["TARGETARCH"]}


_PREFIX: Final = "build-arg:"
STAGE_ARG: Final = "TARGETSTAGE"
"""Name of the stage that is built."""


@attrs.frozen
class Arguments:
    """What is known of all ARGs.

    Attributes:
        defaults: the default that all declarations of a name agree on; None where they do not.
        fixed: names that are declared once with a default, or alike everywhere: that default is all there is.
        before: the ARGs before the first FROM, in order.
        given: those that the build was given a value for, which is their default.
        platform: those that every build of the dialect has, and where a Buildfile finds their values.
    """

    defaults: dict[str, str | None]
    fixed: frozenset[str]
    before: tuple[ArgDefinition, ...]
    platform: Mapping[str, str]
    given: frozenset[str] = frozenset()

    def is_global(self, name: str) -> bool:
        """Whether an ARG before the first FROM declares a name."""
        return any(item.name == name for item in self.before)


def given_arguments(options: Mapping[str, str]) -> dict[str, str]:
    """The build arguments among the options of a frontend, without those that are about the build as a whole."""
    found = {name.removeprefix(_PREFIX): text for name, text in options.items() if name.startswith(_PREFIX)}
    return {name: text for name, text in found.items() if name != EPOCH}


def arguments_of(dockerfile: Dockerfile, dialect: Dialect, given: Mapping[str, str]) -> Arguments:
    """Look all declarations through; what is `given` takes the place of defaults."""
    before = tuple(item for arg in dockerfile.global_args for item in arg.definitions)
    last = {item.name: item.value for item in before}
    found: dict[str, set[str | None]] = {}
    for item in before:
        found.setdefault(item.name, set()).add(item.value)
    for stage in dockerfile.stages:
        for command in stage.commands:
            if isinstance(command, Arg):
                for item in command.definitions:
                    value = last.get(item.name) if item.value is None else item.value
                    found.setdefault(item.name, set()).add(value)
    fixed = frozenset(name for name, values in found.items() if len(values) == 1)
    platform = PLATFORM_ARGS | _EXTENDED if dialect.extended else PLATFORM_ARGS
    defaults = {name: _plain(values) for name, values in found.items()} | dict(given)
    return Arguments(defaults, fixed, before, platform, frozenset(given))


def _plain(values: set[str | None]) -> str | None:
    """The one default, if it is a text without quotes, escapes and variables."""
    value = next(iter(values)) if len(values) == 1 else None
    return value if value is not None and not any(character in value for character in "$\\'\"`") else None
