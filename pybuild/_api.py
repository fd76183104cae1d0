"""Building from Python: `build` and `abuild`, the engines they choose from, and the result they return.

One implementation: `build` runs the engine in the calling thread (a cached build loads no event loop), `abuild` wraps
it for programs that have a loop of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pybuild._boundary import public
from pybuild.engine.entitlements import parse_allowed
from pybuild.errors import PybuildError, TargetError
from pybuild.llb.vertex import Graph
from pybuild.platform import Platform, host_platform, parse_platforms, require_linux
from pybuild.protocols import (
    AttestSpec,
    CacheSpec,
    Invocation,
    MetadataResolver,
    OutputSpec,
    ProgressSink,
    SolveRequest,
    Variant,
)
from pybuild.results.logs import LogKeeper
from pybuild.results.result import BuildResult, Origin
from pybuild.session.secrets import EnvironmentSecret, SecretValue

if TYPE_CHECKING:
    from pybuild.dsl.state import State
    from pybuild.dsl.target import Target
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.session.local import LocalSession

Progress: TypeAlias = Literal["auto", "tty", "plain", "quiet", "rawjson"]
Heads: TypeAlias = "list[tuple[Platform, State]]"
"""What to build for each platform, at least one."""
NO_INVOCATION = Invocation()


@public
def build(
    target: State | Target[...],
    output: OutputSpec | Sequence[OutputSpec] | None = None,
    *,
    args: Mapping[str, object] | None = None,
    engine: EmbeddedEngine | BuildKitEngine | str = "auto",
    platforms: Sequence[str] = (),
    progress: Progress = "auto",
    secrets: Mapping[str, SecretValue] | None = None,
    ssh: Sequence[str] = (),
    no_cache: bool | Sequence[str] = False,
    allow: Sequence[str] = (),
    cache_to: Sequence[str] = (),
    cache_from: Sequence[str] = (),
    attest: Sequence[str] = (),
) -> BuildResult:
    """Build a state or a target, and wait for it.

    Args:
        target: what to build; a target is called with `args`.
        output: what to do with the result: `to_oci(...)`, `to_dir(...)` and so on; nothing by default.
        args: arguments of a target.
        engine: an engine, "embedded", "docker", "buildkit", an address, or "auto": see `pybuild.engine.choose`.
        platforms: what to build for, such as `["linux/amd64", "linux/arm64"]`; this machine's platform by default.
            A target is evaluated once for each; several make one index, and a folder each for outputs of files.
        progress: how to show progress, on standard error.
        secrets: values by secret id: text, bytes, the `Path` of a file, or a function that returns text or bytes.
        ssh: agents that steps may use: "default" for your own, "ID=SOCKET", or "ID=KEYFILE,KEYFILE".
        no_cache: True runs every step; names of steps or targets run just those.
        allow: what steps may do beyond a sandbox: "network.host", "security.insecure", "device" or "device=NAME".
        cache_to: caches to write for other machines, such as "type=registry,ref=NAME,mode=max"; see docs/cache.md.
        cache_from: caches to look into, such as "type=registry,ref=NAME".
        attest: what to say of the result: "type=provenance,mode=max", "type=sbom"; see docs/outputs.md.

    Raises:
        SolveError: a step failed.
        EngineUnavailable: the engine cannot work here.
        DefinitionError: the definition is wrong.
        NotAllowed: a step wants more than `allow` grants.

    Example:
        >>> from pybuild import build, scratch, to_dir
        >>> build(scratch().write("/hello", "world"), to_dir("out"))  # doctest: +SKIP
        <BuildResult no image: 1 of 1 steps ran, 0.1 s>
    """
    state, request = _asked_for(
        target,
        output,
        args=args,
        platforms=platforms,
        no_cache=no_cache,
        allow=allow,
        cache_to=cache_to,
        cache_from=cache_from,
        attests=attest,
    )
    chosen = engine_for(engine)
    with session_for(secrets, ssh) as session, _progress(progress) as sink:
        keeper = LogKeeper(sink)
        done = chosen.run(request, session, keeper)
    return BuildResult.of(
        done, Origin(logs=keeper.logs, state=state, engine=chosen, session=session, allow=request.allow)
    )


@public
async def abuild(
    target: State | Target[...],
    output: OutputSpec | Sequence[OutputSpec] | None = None,
    *,
    args: Mapping[str, object] | None = None,
    engine: EmbeddedEngine | BuildKitEngine | str = "auto",
    platforms: Sequence[str] = (),
    progress: Progress = "auto",
    secrets: Mapping[str, SecretValue] | None = None,
    ssh: Sequence[str] = (),
    no_cache: bool | Sequence[str] = False,
    allow: Sequence[str] = (),
    cache_to: Sequence[str] = (),
    cache_from: Sequence[str] = (),
    attest: Sequence[str] = (),
) -> BuildResult:
    """The same as `build`, for programs with an event loop; cancelling it stops the build and cleans up.

    Example:
        >>> import asyncio
        >>> from pybuild import abuild, scratch
        >>> asyncio.run(abuild(scratch().mkdir("/a")))  # doctest: +SKIP
        <BuildResult no image: 1 of 1 steps ran, 0.1 s>
    """
    state, request = _asked_for(
        target,
        output,
        args=args,
        platforms=platforms,
        no_cache=no_cache,
        allow=allow,
        cache_to=cache_to,
        cache_from=cache_from,
        attests=attest,
    )
    chosen = engine_for(engine)
    with session_for(secrets, ssh) as session, _progress(progress) as sink:
        keeper = LogKeeper(sink)
        done = await chosen.solve(request, session, keeper)
    return BuildResult.of(
        done, Origin(logs=keeper.logs, state=state, engine=chosen, session=session, allow=request.allow)
    )


def _asked_for(
    target: State | Target[...],
    output: OutputSpec | Sequence[OutputSpec] | None,
    *,
    args: Mapping[str, object] | None,
    platforms: Sequence[str],
    no_cache: bool | Sequence[str],
    **options: Any,
) -> tuple[State, SolveRequest]:
    steps = ("*",) if no_cache is True else tuple(no_cache or ())
    name, output, heads = _heads(target, output, args, platforms)
    invocation = _invocation(target, args)
    return heads[0][1], request_of(heads, output, target=name, no_cache=steps, invocation=invocation, **options)


def _invocation(target: State | Target[...], args: Mapping[str, object] | None) -> Invocation:
    """What provenance says of a build from Python."""
    from pybuild.dsl.state import State

    if isinstance(target, State):
        return Invocation(frontend="pybuild")
    given = tuple((f"arg:{name}", str(value)) for name, value in sorted((args or {}).items()))
    path = Path(target.location.file).name
    return Invocation(frontend="pybuild", path=path, args=(("target", target.name), *given))


@public
def embedded(root: str | Path | None = None) -> EmbeddedEngine:
    """The embedded engine on a store of your choice.

    Args:
        root: the store's directory; the default store when left out.

    Raises:
        EngineUnavailable: this system is not Linux.

    Example:
        >>> from pybuild import embedded
        >>> embedded("/tmp/store").name
        'embedded'
    """
    require_linux()
    from pybuild.engine.embedded import EmbeddedEngine

    return EmbeddedEngine(root)


@public
def connect(address: str = "docker") -> BuildKitEngine:
    """A BuildKit elsewhere as the engine: a Docker Engine, or a buildkitd.

    Args:
        address: "docker", "buildkit", or such as `tcp://host:1234`, `docker-container://builder`, `ssh://host`; see
            `pybuild.engine.buildkit.address` for all forms. Nothing is connected before the first build.

    Example:
        >>> from pybuild import connect
        >>> connect("tcp://build.example.com:1234").name
        'buildkit'
    """
    from pybuild.engine.buildkit.engine import BuildKitEngine

    return BuildKitEngine(address)


def request_for(
    target: State | Target[...],
    output: OutputSpec | Sequence[OutputSpec] | None = None,
    *,
    args: Mapping[str, object] | None = None,
    platforms: Sequence[str] = (),
    **options: Any,
) -> SolveRequest:
    """The request to an engine that builds `target`; `options` are those of `request_of`."""
    name, output, heads = _heads(target, output, args, platforms)
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
        source_date_epoch=_source_date_epoch(),
        passes=passes,
        squash=squash,
        allow=parse_allowed(allow),
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


def _heads(
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


def engine_for(engine: EmbeddedEngine | BuildKitEngine | str) -> EmbeddedEngine | BuildKitEngine:
    """The engine that a name or address stands for.

    Raises:
        EngineUnavailable: there is no engine of that name.
    """
    if not isinstance(engine, str):
        return engine
    if engine == "embedded":
        return embedded()
    from pybuild.engine.choose import engine_named

    return engine_named(engine)


def image_lookup() -> MetadataResolver:
    """Looks images up from here, without a build: in the store, then in registries."""
    from pybuild.session.local import LocalSession
    from pybuild.solver.sources import SourceSet
    from pybuild.store.store import Store

    return SourceSet(Store.open(embedded().root), LocalSession())


def session_for(
    secrets: Mapping[str, SecretValue | EnvironmentSecret] | None = None, ssh: Sequence[str] = ()
) -> LocalSession:
    """A session that offers `secrets` and agents, and what the user has configured for registries.

    Raises:
        ArgumentError: an agent is not there, or a key cannot be read.
    """
    from pybuild.session.local import LocalSession

    if not ssh:
        return LocalSession(secrets=secrets)
    from pybuild.session.agents import parse_agents

    return LocalSession(secrets=secrets, ssh=parse_agents(ssh))


def _progress(mode: Progress) -> ProgressDisplay:
    from pybuild.cli.progress import display

    return display(mode)


if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    ProgressDisplay: TypeAlias = AbstractContextManager[ProgressSink]
