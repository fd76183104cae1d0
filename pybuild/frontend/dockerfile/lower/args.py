"""Build arguments: those that every build has, those of the Dockerfile's head, and proxies.

Mirrors `defaultArgs`, `buildMetaArgs` and `proxyEnvFromBuildArgs` of dockerfile2llb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.instructions import Arg
from pybuild.frontend.dockerfile.lower import platforms
from pybuild.frontend.dockerfile.lower.options import Options
from pybuild.frontend.dockerfile.lower.outline import ArgFact
from pybuild.frontend.dockerfile.shellwords import ExpansionError, Lexer
from pybuild.llb.meta import ProxyEnv
from pybuild.platform import Platform

NOT_IN_ENV: Final = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""Arguments that are about the build and never become variables of a step."""
_ALIASES: Final = {"DOCKEROS": "TARGETOS", "DOCKERARCH": "TARGETARCH"}


def platform_args(build: Platform, target: Platform, stage: str, given: Mapping[str, str]) -> dict[str, str]:
    """The arguments that are always there.

    Args:
        build: where steps run.
        target: what is built for.
        stage: the stage that is built, "" for the last one if it has no name.
        given: build arguments, which win.

    Example:
        >>> args = platform_args(Platform("linux", "amd64"), Platform("linux", "arm", "v7"), "", {})
        >>> args["TARGETPLATFORM"], args["BUILDARCH"]
        ('linux/arm/v7', 'amd64')
    """
    values = {
        "BUILDPLATFORM": platforms.print_short(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": build.os_version,
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": platforms.print_all(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": target.os_version,
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }
    return {name: given.get(name, value) for name, value in values.items()}


def platform_aliases(args: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """DOCKEROS and DOCKERARCH: what TARGETOS and TARGETARCH are called in the proposal moby/moby#32487.

    Args:
        args: as `platform_args` has them.
        given: build arguments, which win.

    Example:
        >>> platform_aliases({"TARGETOS": "linux", "TARGETARCH": "arm64"}, {"DOCKEROS": "plan9"})
        {'DOCKEROS': 'plan9', 'DOCKERARCH': 'arm64'}
    """
    return {name: given.get(name, args[alias]) for name, alias in _ALIASES.items()}


def default_args(options: Options, dialect: Dialect, target: Platform, stage: str) -> dict[str, str]:
    """The arguments that are there in a dialect.

    Args:
        options: of the build.
        dialect: what the Dockerfile may say.
        target: what is built for.
        stage: as for `platform_args`.
    """
    args = platform_args(options.build_platforms[0], target, stage, options.build_args)
    return args | platform_aliases(args, options.build_args) if dialect.extended else args


def global_args(
    env: Mapping[str, str], args: Sequence[Arg], given: Mapping[str, str], lexer: Lexer, file: str = ""
) -> tuple[dict[str, str], dict[str, ArgFact]]:
    """The values of the ARGs before the first FROM.

    Args:
        env: what is set before.
        args: the instructions.
        given: build arguments, which win over defaults.
        lexer: expands defaults.
        file: what the Dockerfile is called.

    Returns:
        All values, and what the outline says of each argument.

    Raises:
        ExpansionError: a default cannot be expanded.
    """
    values, facts = dict(env), dict[str, ArgFact]()
    for instruction in args:
        for definition in instruction.definitions:
            name, value = definition.name, definition.value
            deps: set[str] = set()
            if name in given:
                value = given[name]
            elif value is not None:
                try:
                    result = lexer.word(value, values)
                except ExpansionError as error:
                    raise error.at((instruction.lines.location(file),)) from None
                value, deps = result.text, _deps(name, set(result.matched), facts)
            if value is not None:
                values.pop(name, None)
                values[name] = value
            facts[name] = ArgFact(attrs.evolve(definition, value=value), instruction.lines, value or "", deps)
    return values, facts


def _deps(name: str, matched: set[str], facts: Mapping[str, ArgFact]) -> set[str]:
    """The arguments that a default uses; one that uses its own earlier value uses what that did."""
    if name in matched:
        matched.discard(name)
        if name in facts:
            matched |= facts[name].deps
    return matched


def proxy_env(given: Mapping[str, str]) -> ProxyEnv | None:
    """The proxies among the build arguments, in any case; None when there are none."""
    names = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"})
    found = {name.lower(): given[name] for name in sorted(given) if name.lower() in names}
    return ProxyEnv(**found) if found else None
