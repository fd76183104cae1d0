"""`State`: the immutable value that users chain calls on; each call returns a new one and nothing runs.

A thin facade over three things: the head edge of the graph, the changes to the image config (`config.Config`), and
the platform that was asked for. Lowering is in `fileops`, `exec_state` and `pyfunc`. Mirrors client/llb/state.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, NoReturn, ParamSpec, Self, TypeVar, cast

import attrs

from pybuild._boundary import public
from pybuild.digest import Digest, digest_of
from pybuild.dsl import fileops
from pybuild.dsl.config import Config
from pybuild.dsl.configurable import Configurable
from pybuild.dsl.mounts import Mount
from pybuild.dsl.paths import PathRef, checked, rooted
from pybuild.errors import ArgumentError, DefinitionError
from pybuild.llb.files import FileAction
from pybuild.llb.vertex import Edge, Graph
from pybuild.location import Location, capture
from pybuild.platform import Platform
from pybuild.protocols import ImagePatch

if TYPE_CHECKING:
    from pybuild._api import BuildResult, Progress
    from pybuild.dsl.exec_state import ExecState
    from pybuild.protocols import Engine, OutputSpec
    from pybuild.viz.drawing import Drawing

P = ParamSpec("P")
T = TypeVar("T")
StrPath = str | Path


class ChainError(DefinitionError, AttributeError):
    """A method was called where it has no meaning, such as mount() on a state that is not a run."""

    code = "chain"


class State(Configurable):
    """A file system that the build would make, with the image config that goes with it.

    States are made by `image`, `scratch`, `local` and the other sources, and by the methods here. They are immutable
    and compare by what they describe.

    Example:
        >>> from pybuild import image
        >>> image("alpine").run("apk add make").workdir("/src")
        <State apk add make>
    """

    __slots__ = ("_config", "_digest", "_head", "_location", "_platform")
    _head: Edge | None
    _config: Config
    _platform: Platform | None
    _location: Location
    _digest: Digest | None

    def __init__(self) -> None:
        raise ArgumentError(
            "a State is not made directly", locations=[capture()], hint="start with image(...), scratch() or local(...)"
        )

    @classmethod
    def _make(cls, head: Edge | None, config: Config, platform: Platform | None, location: Location) -> Self:
        state = object.__new__(cls)
        put = object.__setattr__
        put(state, "_head", head)
        put(state, "_config", config)
        put(state, "_platform", platform)
        put(state, "_location", location)
        put(state, "_digest", None)
        return state

    def _on(self, head: Edge | None, location: Location) -> State:
        return State._make(head, self._config, self._platform, location)

    def _with(self, member: str, value: object) -> State:
        return State._make(self._head, self._config.with_change(member, value), self._platform, capture())

    # ---------------------------------------------------------------------------------------------- one vertex each

    @public
    def run(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        user: str | None = None,
        mounts: Iterable[Mount] = (),
        network: Literal["sandbox", "host", "none"] = "sandbox",
        security: Literal["sandbox", "insecure"] = "sandbox",
        shell: Sequence[str] | bool = True,
        name: str | None = None,
        use_cache: bool = True,
        valid_exit_codes: Collection[int] = (0,),
        memory: int | str | None = None,
        cpus: float | None = None,
        timeout: float | None = None,
    ) -> ExecState:
        """Run a command; the result is the root file system after it.

        Args:
            command: text for the shell, or a list of arguments that runs without one.
            env: variables of this step only, over those of `.env()`.
            workdir: directory of this step only; relative to that of `.workdir()`.
            user: user of this step only, as `name|uid[:group|gid]`.
            mounts: what else the step sees; `.mount()` adds to it.
            network: a private network with outbound traffic, the host's, or none.
            security: Docker's default capabilities and seccomp filter, or all capabilities.
            shell: the shell in front of a command text; True takes that of `.shell()` or of the image.
            name: what progress and drawings call the step.
            use_cache: False runs the step every time.
            valid_exit_codes: exit codes that are no failure.
            memory: limit in bytes, or text such as `512m`. Limits never change what is cached.
            cpus: how many processors' worth of time the step may use.
            timeout: seconds after which the step is stopped and fails.

        Example:
            >>> from pybuild import image
            >>> image("alpine").run("apk add --no-cache make", network="host")
            <ExecState apk add --no-cache make>
        """
        from pybuild.dsl.exec_state import ExecState, make_run, run_metadata

        location = capture()
        run = make_run(
            self,
            command,
            env=env,
            workdir=workdir,
            user=user,
            network=network,
            security=security,
            shell=shell,
            valid_exit_codes=tuple(valid_exit_codes),
            metadata=run_metadata(name=name, use_cache=use_cache, memory=memory, cpus=cpus, timeout=timeout),
            location=location,
        )
        attached = tuple(mounts)
        return ExecState._of(run.attach(attached, location) if attached else run, self._config)

    @public
    def call(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> ExecState:
        """Run a Python function as a step, with the image's `python3`.

        The function, what it closes over and its arguments are pickled into the step; its return value is dropped.
        The step is cached by the function's source, closure, arguments and the Python version (major.minor), which
        must be the same in the image.

        Raises:
            ArgumentError: the function or a value it uses cannot be pickled.

        Example:
            >>> from pybuild import image
            >>> def greet(name: str) -> None:
            ...     print("hello", name, file=open("/hello", "w"))
            >>> image("python:3.11-slim").call(greet, "world")
            <ExecState call greet>
        """
        from pybuild.dsl.exec_state import ExecState
        from pybuild.dsl.pyfunc import make_call

        return ExecState._of(make_call(self, function, args, kwargs, capture()), self._config)

    @public
    def copy(
        self,
        source: State | PathRef | str | Sequence[str],
        dest: str = ".",
        *,
        owner: str | None = None,
        mode: int | str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        parents: bool = False,
        follow_links: bool = True,
        unpack: bool = False,
    ) -> State:
        """Copy files, with the meaning of COPY in a Dockerfile.

        Args:
            source: text or a list of texts for paths (wildcards allowed) in the default local context, which is the
                directory of the Buildfile; a path of another state; or a state for all of it.
            dest: where to; a trailing `/` says that it is a directory. Relative to the working directory.
            owner: `user[:group]` of everything copied; root by default for the local context.
            mode: permission bits, or symbolic text such as `u=rwX,go=rX`.
            include: patterns; only what matches is copied.
            exclude: patterns of what is left out.
            parents: keep the source's parent directories below `dest`.
            follow_links: copy what a link that is the source points to; False copies the link.
            unpack: extract the source when it is an archive.

        Example:
            >>> from pybuild import image, scratch
            >>> built = image("golang:1.24").run("go build -o /out/app .")
            >>> scratch().copy(built.path("/out/app"), "/app")
            <State copy /out/app /app>
        """
        from pybuild.dsl.sources import default_context

        edge: Edge | None
        if isinstance(source, State):
            edge, paths = source.head, ["/"]
        elif isinstance(source, PathRef):
            edge, paths = source.edge, [source.path]
        else:
            paths = [source] if isinstance(source, str) else list(source)
            edge = default_context()
        for path in paths:
            checked(path, "copy(): source")
        actions = fileops.copies(
            paths,
            dest,
            self.patch.working_dir,
            owner=owner,
            mode=mode,
            include=include,
            exclude=exclude,
            parents=parents,
            follow_links=follow_links,
            unpack=unpack,
        )
        location = capture()
        return self._on(fileops.vertex(self._head, [(action, edge) for action in actions], location), location)

    def _changed(self, action: FileAction) -> State:
        location = capture()
        return self._on(fileops.vertex(self._head, [(action, None)], location), location)

    @public
    def mkdir(self, path: str, *, mode: int = 0o755, parents: bool = True, owner: str | None = None) -> State:
        """Create a directory.

        Args:
            path: where; relative to the working directory.
            mode: permission bits.
            parents: also create what is missing above it, and accept that it exists.
            owner: `user[:group]`, root by default.

        Example:
            >>> from pybuild import scratch
            >>> scratch().mkdir("/var/lib/app", owner="1000:1000")
            <State mkdir /var/lib/app>
        """
        workdir = self.patch.working_dir
        return self._changed(fileops.make_directory(path, workdir, mode=mode, parents=parents, owner=owner))

    @public
    def write(self, path: str, data: str | bytes, *, mode: int = 0o644, owner: str | None = None) -> State:
        """Write a file; its directory must exist.

        Args:
            path: where; relative to the working directory.
            data: the content; text is encoded as UTF-8.
            mode: permission bits.
            owner: `user[:group]`, root by default.

        Example:
            >>> from pybuild import scratch
            >>> scratch().write("/motd", "welcome")
            <State mkfile /motd>
        """
        return self._changed(fileops.make_file(path, data, self.patch.working_dir, mode=mode, owner=owner))

    @public
    def symlink(self, target: str, path: str) -> State:
        """Create a symbolic link at `path` that holds the text `target`.

        Example:
            >>> from pybuild import scratch
            >>> scratch().symlink("busybox", "/bin/sh")
            <State symlink busybox /bin/sh>
        """
        return self._changed(fileops.make_link(target, path, self.patch.working_dir))

    @public
    def remove(self, path: str, *, missing_ok: bool = False, wildcard: bool = False) -> State:
        """Remove a file, or a directory with all below it.

        Args:
            path: which; relative to the working directory.
            missing_ok: it is no failure when there is nothing.
            wildcard: `path` is a pattern.

        Example:
            >>> from pybuild import image
            >>> image("alpine").remove("/var/cache/apk/*", wildcard=True)
            <State rm /var/cache/apk/*>
        """
        workdir = self.patch.working_dir
        return self._changed(fileops.removal(path, workdir, missing_ok=missing_ok, wildcard=wildcard))

    # -------------------------------------------------------------------------------- composition and selection

    @public
    def pipe(self, function: Callable[Concatenate[State, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(self, ...)`, so that one's own functions fit into a chain.

        Example:
            >>> from pybuild import State, image
            >>> def with_make(state: State) -> State:
            ...     return state.run("apk add make")
            >>> image("alpine").pipe(with_make)
            <ExecState apk add make>
        """
        return function(self, *args, **kwargs)

    @public
    def path(self, path: str) -> PathRef:
        """One path of this state, as a source for `copy`, `bind` and `cache`.

        Args:
            path: which; a relative one starts in the directory set by `.workdir()`, or in `/`. For a copy with
                `parents=True`, a `/./` in it marks where the part that is kept begins.

        Example:
            >>> from pybuild import image
            >>> image("alpine").path("/etc/passwd")
            <PathRef /etc/passwd of alpine>
        """
        front, mark, rest = checked(path, "path(): path").partition("/./")
        start = rooted(front or mark or "/", self.patch.working_dir or "/").rstrip("/")
        whole = f"{start}/./{rooted(rest)[1:]}" if mark and rest else (start or "/")
        return PathRef(self._head, whole + _kept_end(path))

    @public
    def named(self, name: str) -> State:
        """Name the last step, for progress and drawings.

        Example:
            >>> from pybuild import image
            >>> image("alpine").run("make").named("compile")
            <State compile>
        """
        if self._head is None:
            raise DefinitionError("named(): an empty state has no step to name")
        vertex = self._head.vertex
        renamed = vertex.replace(metadata=vertex.metadata.named(name))
        return self._on(Edge(renamed, self._head.output), self._location)

    # ------------------------------------------------------------- pure inspection: never executes, needs no engine

    @property
    def head(self) -> Edge | None:
        """The edge of the graph that this state stands for; None for an empty file system."""
        return self._head

    @property
    def patch(self) -> ImagePatch:
        """What was changed in the image config that the result inherits."""
        return self._config.patch

    @property
    def platform(self) -> Platform | None:
        """The platform given to the source it started from; None is the platform of the build."""
        return self._platform

    @property
    def digest(self) -> Digest:
        """Identity of the state: of its graph, its config changes and its platform."""
        if self._digest is None:
            head = None if self._head is None else (self._head.vertex.digest, int(self._head.output))
            platform = None if self._platform is None else tuple(self._platform)
            made = digest_of("State", head, attrs.astuple(self.patch), platform)
            object.__setattr__(self, "_digest", made)
            return made
        return self._digest

    @property
    def location(self) -> Location:
        """Where the call stands that made this state."""
        return self._location

    @public
    def graph(self, *, optimized: bool = False) -> Graph:
        """The graph below this state.

        Args:
            optimized: after those passes that need no lookup.

        Raises:
            DefinitionError: one name stands for two local directories.

        Example:
            >>> from pybuild import image
            >>> len(image("alpine").run("make").graph())
            2
        """
        from pybuild.dsl import inspection

        return inspection.graph_of(self, optimized=optimized)

    @public
    def explain(self, *, optimized: bool = True) -> str:
        """The graph as a text tree, each step with the line that wrote it.

        Example:
            >>> from pybuild import image
            >>> "make" in image("alpine").run("make").explain()
            True
        """
        from pybuild.dsl import inspection

        return inspection.explain(self, optimized=optimized)

    @public
    def visualize(self, path: StrPath | None = None, *, format: str = "svg", optimized: bool = False) -> Drawing:  # noqa: A002  # graphviz's word
        """A drawing of the graph.

        Args:
            path: a file to write it to; its suffix decides the format.
            format: svg, png, dot, mermaid or text, when there is no path.
            optimized: draw the graph after those passes that need no lookup.

        Example:
            >>> from pybuild import image
            >>> drawing = image("alpine").run("make").visualize(format="dot")
        """
        from pybuild.dsl import inspection

        return inspection.visualize(self, path, format=format, optimized=optimized)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from pybuild.dsl import inspection

        return inspection.mimebundle(self)

    # -------------------------------------------------------------------------------------------- execution edge

    def build(
        self,
        output: OutputSpec | None = None,
        *,
        engine: Engine | str = "auto",
        platforms: Sequence[str] = (),
        progress: Progress = "auto",
        secrets: Mapping[str, Any] | None = None,
        no_cache: bool | Sequence[str] = False,
    ) -> BuildResult:
        """Build this state; see `pybuild.build`.

        Example:
            >>> from pybuild import image, to_oci
            >>> result = image("alpine").run("make").build(to_oci("app.tar"))  # doctest: +SKIP
        """
        from pybuild._api import build

        # `build` itself says which engines it takes; their classes lie above this package.
        chosen = cast("Any", engine)
        return build(
            self,
            output,
            engine=chosen,
            platforms=platforms,
            progress=progress,
            secrets=secrets,
            no_cache=no_cache,
        )

    # ----------------------------------------------------------------------------------------------------- value

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, State) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        name = "scratch" if self._head is None else self._head.vertex.name
        short = name.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")
        return f"<{type(self).__name__} {short}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self._head, self._config, self._platform, self._location)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __bool__(self) -> NoReturn:
        raise _advice("a State is neither true nor false: nothing has been built", "compare with None, or build it")

    def __iter__(self) -> NoReturn:
        raise _advice("a State cannot be iterated over", 'name files with state.path("...")')

    def __len__(self) -> NoReturn:
        raise _advice("a State has no length", "len(state.graph()) counts its steps")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise ChainError(
            f'a State is immutable, "{name}" cannot be set', locations=[capture()], hint="methods return a new State"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise ChainError(f'a State is immutable, "{name}" cannot be deleted', locations=[capture()])

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in ("mount", "output"):
                raise ChainError(
                    f"{name}() must directly follow run(); this state was made at line {self._location.line}",
                    locations=[capture(), self._location],
                    hint=f"move .{name}(...) right behind the .run(...) that it belongs to",
                )
            raise AttributeError(f"a State has no attribute {name!r}", name=name, obj=self)


def _advice(message: str, hint: str) -> ArgumentError:
    return ArgumentError(message, locations=[capture()], hint=hint)


def _rebuild(head: Edge | None, config: Config, platform: Platform | None, location: Location) -> State:
    return State._make(head, config, platform, location)


def _kept_end(path: str) -> str:
    return "/." if path.endswith("/.") and len(path) > 2 else ""
