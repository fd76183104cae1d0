"""What an engine is asked: the request that states and targets make, together with the options of a build."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pybuild.engine.entitlements import parse_allowed
from pybuild.errors import PybuildError, TargetError
from pybuild.llb.vertex import Graph
from pybuild.platform import Platform, host_platform, parse_platforms
from pybuild.protocols import AttestSpec, CacheSpec, Invocation, OutputSpec, Shell, SolveRequest, Variant

if TYPE_CHECKING:
    from pybuild.dsl.state import State
    from pybuild.dsl.target import Target

Heads: TypeAlias = "list[tuple[Platform, State]]"
"""What to build for each platform, at least one."""
NO_INVOCATION = Invocation()


def request_for(
    target: State | Target[...],
    output: OutputSpec | Sequence[OutputSpec] | None = None,
    *,
    args: Mapping[str, object] | None = None,
    platforms: Sequence[str] = (),
    **options: Any,
) -> SolveRequest:
    """The request to an engine that builds `target`; `options` are those of `request_of`."""
    name, output, heads = target_heads(target, output, args, platforms)
    return request_of(heads, output, target=name, **options)


def request_of(
    heads: Heads,
    output: OutputSpec | Sequence[OutputSpec] | None = None,
    *,
    target: str = "",
    no_cache: Sequence[str] = (),
    passes: tuple[str, ...] | None = None,
    squash: str = "",
    allow: Sequence[str] = (),
    on_error: Shell | None = None,
    cache_to: Sequence[str | CacheSpec] = (),
    cache_from: Sequence[str | CacheSpec] = (),
    attests: Sequence[str | AttestSpec] = (),
    invocation: Invocation = NO_INVOCATION,
) -> SolveRequest:
    """The request to an engine that builds states, each for its platform, into one result."""
    outputs = () if output is None else (output,) if isinstance(output, OutputSpec) else tuple(output)
    (platform, first), *others = heads
    return SolveRequest(
        graph=Graph([state.head for _, state in heads]),
        patch=first.patch,
        platform=platform,
        further=tuple(Variant(platform=other, patch=state.patch) for other, state in others),
        outputs=outputs,
        no_cache=tuple(no_cache),
        target=target,
        source_date_epoch=_source_date_epoch() if first.patch.epoch is None else first.patch.epoch,
        passes=passes,
        squash=squash,
        allow=parse_allowed(allow),
        on_error=on_error,
        cache_to=_caches(cache_to, "--cache-to"),
        cache_from=_caches(cache_from, "--cache-from"),
        attests=_attests(attests),
        invocation=invocation,
    )


def _caches(given: Sequence[str | CacheSpec], flag: str) -> tuple[CacheSpec, ...]:
    if not given:
        return ()
    from pybuild.remotecache.spec import parse_cache_specs

    return parse_cache_specs(given, flag)


def _attests(given: Sequence[str | AttestSpec]) -> tuple[AttestSpec, ...]:
    if not given:
        return ()
    from pybuild.attest.spec import parse_attests

    return parse_attests(given, "attest")


def heads_of(make: Callable[[], State], platforms: Sequence[str] = ()) -> Heads:
    """What `make` defines for each platform; without any, for that of the state, or this machine's.

    Raises:
        ReferenceFormatError: one is no platform.
    """
    from pybuild.dsl.platforms import building_for

    wanted = parse_platforms(platforms)
    if not wanted:
        state = make()
        return [(state.platform or host_platform(), state)]
    found: Heads = []
    for platform in wanted:
        with building_for(platform):
            found.append((platform, make()))
    return found


def target_heads(
    target: State | Target[...],
    output: OutputSpec | Sequence[OutputSpec] | None,
    args: Mapping[str, object] | None,
    platforms: Sequence[str],
) -> tuple[str, OutputSpec | Sequence[OutputSpec] | None, Heads]:
    """Name, output and states of a target; a state has only itself."""
    from pybuild.dsl.state import State

    if isinstance(target, State):
        if args:
            raise TargetError("args are for targets; a state has none")
        return "", output, heads_of(lambda: target, platforms)
    heads = heads_of(lambda: target(**(args or {})), platforms or target.platforms)
    return target.name, target.output if output is None else output, heads


def _source_date_epoch() -> int | None:
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdigit():
        raise PybuildError(f'SOURCE_DATE_EPOCH must be seconds since 1970, got "{text}"')
    return int(text)


def invocation_of(target: State | Target[...], args: Mapping[str, object] | None) -> Invocation:
    """What provenance says of a build from Python."""
    from pybuild.dsl.state import State

    if isinstance(target, State):
        return Invocation(frontend="pybuild")
    given = tuple((f"arg:{name}", str(value)) for name, value in sorted((args or {}).items()))
    path = Path(target.location.file).name
    return Invocation(frontend="pybuild", path=path, args=(("target", target.name), *given))
