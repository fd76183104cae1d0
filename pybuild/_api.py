"""Building from Python: `build` and `abuild`, the engines they choose from, and the result they return.

One implementation: `build` runs the engine in the calling thread (a cached build loads no event loop), `abuild` wraps
it for programs that have a loop of their own.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from pybuild._boundary import called_like, public
from pybuild._request import Heads, invocation_of, request_of, target_heads
from pybuild.errors import ExecError
from pybuild.platform import require_linux
from pybuild.protocols import MetadataResolver, OutputSpec, ProgressSink, SolveRequest, SolveResult, SourceDates
from pybuild.results.logs import LogKeeper
from pybuild.results.result import BuildResult, Origin
from pybuild.session.secrets import EnvironmentSecret, SecretValue
from pybuild.values import Value

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pybuild.dsl.state import State
    from pybuild.dsl.target import Target
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.engine.threaded import Run
    from pybuild.session.local import LocalSession

Progress: TypeAlias = Literal["auto", "tty", "plain", "quiet", "rawjson"]
_LOOK: Final = 'look around where it failed: build(..., on_error="shell"), without a terminal on_error="shell:ls -l"'


@attrs.frozen(kw_only=True)
class Call(Value):
    """One build from Python: what is asked of an engine, and what it is offered."""

    request: SolveRequest
    heads: Heads
    engine: EmbeddedEngine | BuildKitEngine
    progress: Progress
    secrets: Mapping[str, SecretValue] | None
    ssh: Sequence[str]

    def run(self) -> BuildResult:
        """Build in this thread."""
        with self._ready() as ready:
            return ready.result(ready.run(self.request, ready.session, ready.keeper))

    async def solve(self) -> BuildResult:
        """Build beside an event loop; cancelling it stops the build."""
        from pybuild.engine.threaded import solve_in_thread

        with self._ready() as ready:
            return ready.result(await solve_in_thread(ready.run, self.request, ready.session, ready.keeper))

    @contextmanager
    def _ready(self) -> Generator[_Ready]:
        shell, run = self.request.on_error, self.engine.run
        with session_for(self.secrets, self.ssh) as session, ExitStack() as shown:
            if shell is None:
                sink = shown.enter_context(_progress(self.progress))
            else:
                from pybuild.results.shells import running_with

                sink, run = shown.enter_context(running_with(self.engine, shell, self.progress))
            origin = Origin(heads=tuple(self.heads), engine=self.engine, session=session, allow=self.request.allow)
            try:
                yield _Ready(origin=origin, session=session, keeper=LogKeeper(sink), run=run)
            except ExecError as error:
                if shell is None and self.engine.name == "embedded":
                    error.hint = error.hint or _LOOK
                raise


@attrs.frozen(kw_only=True)
class _Ready(Value):
    """A call with its session open and its progress shown."""

    origin: Origin
    session: LocalSession
    keeper: LogKeeper
    run: Run

    def result(self, done: SolveResult) -> BuildResult:
        return BuildResult.of(done, attrs.evolve(self.origin, logs=self.keeper.logs))


def called(
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
    on_error: str = "",
) -> Call:
    """A call of `build` or `abuild`, whose parameters these are."""
    name, output, heads = target_heads(target, output, args, platforms)
    chosen = engine_for(engine)
    shell = None
    if on_error:
        from pybuild.results.shells import on_error_shell

        shell = on_error_shell(on_error, chosen)
    request = request_of(
        heads,
        output,
        target=name,
        no_cache=("*",) if no_cache is True else tuple(no_cache or ()),
        allow=allow,
        on_error=shell,
        cache_to=cache_to,
        cache_from=cache_from,
        attests=attest,
        invocation=invocation_of(target, args),
    )
    return Call(request=request, heads=heads, engine=chosen, progress=progress, secrets=secrets, ssh=ssh)


@called_like(called)
def build(*arguments: Any, **options: Any) -> BuildResult:  # noqa: D417  # its parameters are those of `called`
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
        on_error: "shell" opens a shell on the terminal in a step that fails, "shell:COMMAND" runs a command there and
            prints what it says, in a notebook too; the build ends with the step's error. See docs/debugging.md.

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
    return called(*arguments, **options).run()


@called_like(called)
async def abuild(*arguments: Any, **options: Any) -> BuildResult:
    """The same as `build`, for programs with an event loop; cancelling it stops the build and cleans up.

    Example:
        >>> import asyncio
        >>> from pybuild import abuild, scratch
        >>> asyncio.run(abuild(scratch().mkdir("/a")))  # doctest: +SKIP
        <BuildResult no image: 1 of 1 steps ran, 0.1 s>
    """
    return await called(*arguments, **options).solve()


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


def source_dates() -> SourceDates:
    """Says when sources were made, which it fetches."""
    from pybuild.engine.dockerfiles import Silent
    from pybuild.engine.frontendhost import EmbeddedHost
    from pybuild.session.local import LocalSession

    return EmbeddedHost(embedded(), LocalSession(), Silent())


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


def _progress(mode: Progress) -> AbstractContextManager[ProgressSink]:
    from pybuild.cli.progress import display

    return display(mode)
