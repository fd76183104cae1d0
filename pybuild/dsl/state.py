"""`State`: the immutable value that users chain calls on; each call returns a new one and nothing runs.

A thin facade over three things: the head edge of the graph, the changes to the image config (`config.Config`), and
the platform that was asked for. Lowering is in `fileops`, `run` and `pyfunc`; the calls that need no other state are
in `configurable`, `filecalls`, `laststep` and `inspection`. `ExecState` is the state right after a run. Mirrors
client/llb/state.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Literal, NoReturn, ParamSpec, Self, TypeVar, overload

import attrs

from pybuild._boundary import public
from pybuild.digest import Digest, digest_of
from pybuild.dsl import fileops, history, imageconfig, transfer
from pybuild.dsl.buildable import Buildable
from pybuild.dsl.buildoptions import BuildOptions, options
from pybuild.dsl.config import EMPTY, Config, Step, started
from pybuild.dsl.configurable import Configurable
from pybuild.dsl.documents import Document
from pybuild.dsl.filecalls import FileCalls
from pybuild.dsl.inherited import inherited
from pybuild.dsl.inspection import Inspectable
from pybuild.dsl.laststep import LastStep
from pybuild.dsl.mount import Mount
from pybuild.dsl.paths import PathRef, checked, join, rooted, slashed
from pybuild.dsl.platforms import asked_platform, target_platform
from pybuild.dsl.run import Run, make_run, run_metadata
from pybuild.dsl.transfer import Sources, Word
from pybuild.dsl.transfercalls import TransferCalls
from pybuild.errors import ArgumentError, DefinitionError
from pybuild.llb.files import FileAction
from pybuild.llb.meta import Metadata
from pybuild.llb.mounts import NO_OUTPUT, BindMount
from pybuild.llb.mounts import Mount as PlacedMount
from pybuild.llb.ops import ExecOp
from pybuild.llb.vertex import Edge, OutputIndex, Vertex
from pybuild.location import Location, capture
from pybuild.platform import Platform
from pybuild.protocols import ImagePatch

P = ParamSpec("P")
T = TypeVar("T")


class ChainError(DefinitionError, AttributeError):
    """A method was called where it has no meaning, such as mount() on a state that is not a run."""

    code = "chain"


class State(
    Configurable["State"], FileCalls["State"], TransferCalls["State"], LastStep["State"], Inspectable, Buildable
):
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

    @classmethod
    def of_frontend(cls, head: Edge | None, patch: ImagePatch, platform: Platform | None) -> State:
        """What a frontend made: its graph, and an image config (`patch.base`) that later steps inherit from."""
        if patch.base is None:
            raise ArgumentError("a frontend's result has an image config")
        return State._make(head, Config(None, None, started(patch)), platform, capture())

    def _on(self, head: Edge | None, location: Location, step: Step | None = None) -> State:
        config = self._config if step is None else self._config.with_step(step)
        return State._make(head, config, self._platform, location)

    def _with(self, member: str, value: Any) -> State:
        if member in ("cmd", "entrypoint"):
            value = imageconfig.with_shell(value, self._settings.shell)
        config = self._config.with_change(member, value, history.config_step(member, value))
        return State._make(self._head, config, self._platform, capture())

    # ---------------------------------------------------------------------------------------------- one vertex each

    @public
    def run(
        self,
        command: str | Sequence[str] | Document,
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        user: str | None = None,
        mounts: Iterable[Mount] = (),
        network: Literal["sandbox", "host", "none"] | None = None,
        security: Literal["sandbox", "insecure"] = "sandbox",
        shell: Sequence[str] | bool = True,
        name: str | None = None,
        use_cache: bool = True,
        valid_exit_codes: Collection[int] = (0,),
        memory: int | str | None = None,
        cpus: float | None = None,
        timeout: float | None = None,
        devices: Sequence[str] = (),
    ) -> ExecState:
        """Run a command; the result is the root file system after it.

        Args:
            command: text for the shell, a list of arguments that runs without one, or a document that runs as a
                script by its own interpreter.
            env: variables of this step only, over those of `.env()`.
            workdir: directory of this step only; relative to that of `.workdir()`.
            user: user of this step only, as `name|uid[:group|gid]`.
            mounts: what else the step sees; `.mount()` adds to it.
            network: a private network with outbound traffic, the host's, or none; that of the build when left out,
                which is a private one.
            security: Docker's default capabilities and seccomp filter, or all capabilities.
            shell: the shell in front of a command text; True takes that of `.shell()` or of the image.
            name: what progress and drawings call the step.
            use_cache: False runs the step every time.
            valid_exit_codes: exit codes that are no failure.
            memory: limit in bytes, or text such as `512m`. Limits never change what is cached.
            cpus: how many processors' worth of time the step may use.
            timeout: seconds after which the step is stopped and fails.
            devices: names of devices as in the Container Device Interface; with `,required` behind it, the step fails
                without one.

        Example:
            >>> from pybuild import image
            >>> image("alpine").run("apk add --no-cache make", network="host")
            <ExecState apk add --no-cache make>
        """
        location = capture()
        run = make_run(
            self._head,
            self._config.entered,
            self._platform,
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
            devices=devices,
        )
        attached = tuple(mounts)
        return ExecState._of(run.attach(attached, location) if attached else run, self._config.with_step(run.step))

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
        from pybuild.dsl.pyfunc import make_call

        run = make_call(self._head, self._config.entered, self._platform, function, args, kwargs, capture())
        return ExecState._of(run, self._config.with_step(run.step))

    @public
    def workdir(self, path: str, *, create: bool = False) -> State:
        """Set the working directory of later steps and of the image; relative to the one so far.

        Args:
            path: which; "" changes nothing.
            create: also make it, for the user of `.user()` or of the image, as WORKDIR in a Dockerfile does.

        Example:
            >>> from pybuild import image
            >>> image("alpine").workdir("/src").workdir("app").run("pwd")
            <ExecState pwd>
            >>> image("alpine").workdir("/src", create=True)
            <State mkdir /src>
        """
        location = capture()
        path = slashed(path, self._built_for)
        changed = self._config.with_change("working_dir", checked(path, "workdir(): path", empty=True))
        directory = changed.folded.patch.working_dir or "/"
        if create and directory.startswith("."):  # it may be the root, which is not made
            directory = join(inherited(self._head, self._platform, self._settings.base).directory, directory)
        step = history.workdir_step(directory, layer=create and directory != "/")
        state = State._make(self._head, self._config.with_change("working_dir", path, step), self._platform, location)
        if not step.layer:
            return state
        user = self._settings.user or ("" if self._settings.base is not None else None)
        action = fileops.make_workdir(directory, user, options().epoch)
        return state._on(fileops.vertex(self._head, [(action, None)], location), location)

    @overload
    def getenv(self, name: str, default: str = "") -> str: ...
    @overload
    def getenv(self, name: str, default: None) -> str | None: ...
    @public
    def getenv(self, name: str, default: str | None = "") -> str | None:
        """The value of a variable that later steps would see.

        What the chain does not set is looked up in the image at once, so that it can be part of other values; nothing
        is built.

        Args:
            name: of the variable.
            default: the value when it is not set.

        Raises:
            SourceFetchError: the image cannot be looked up.

        Example:
            >>> from pybuild import scratch
            >>> scratch().env(HOME="/root").getenv("HOME")
            '/root'
        """
        known = self._config.folded.variables
        if name in known:
            return known[name]
        return inherited(self._head, self._platform, self._settings.base).variables.get(name, default)

    def _transferred(self, word: Word, source: Sources, dest: str, options: transfer.Options, *, link: bool) -> State:
        location = capture()
        copies = transfer.copies(word, source, slashed(dest, self._built_for), self._workdir, options)
        step = transfer.step(word, source, dest, options)
        return self._on(transfer.layer(self._head, copies, location, link=link), location, step)

    def _finished(self, build: BuildOptions) -> State:
        """As the result of a build: with what its options say of the image."""
        config = self._config
        if build.labels:
            config = config.with_change("labels", dict(build.labels))
        if isinstance(build.epoch, int):
            config = config.with_change("epoch", build.epoch)
        platform = asked_platform()
        if platform is not None:
            config = config.with_change("platform", platform)
        return self if config is self._config else State._make(self._head, config, self._platform, self._location)

    @property
    def _built_for(self) -> Platform:
        return self._platform or target_platform()

    @property
    def _workdir(self) -> str | None:
        return self._settings.working_dir or (None if self._settings.base is None else "/")

    @property
    def _settings(self) -> ImagePatch:
        """What is set of the image config, without the history, which costs more."""
        return self._config.folded.patch

    def _changed(self, action: FileAction) -> State:
        location = capture()
        return self._on(fileops.vertex(self._head, [(action, None)], location), location, action)

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
        asked, path = path, slashed(path, self._built_for)
        front, mark, rest = checked(path, "path(): path", empty=True).partition("/./")
        start = rooted(front or mark or "/", self._workdir or "/").rstrip("/")
        whole = f"{start}/./{rooted(rest)[1:]}" if mark and rest else (start or "/")
        return PathRef(self._head, whole + _kept_end(path), asked)

    def _last_step(self) -> Vertex | None:
        return None if self._head is None else self._head.vertex

    def _with_metadata(self, metadata: Metadata) -> State:
        assert self._head is not None
        return self._on(Edge(self._head.vertex.replace(metadata=metadata), self._head.output), self._location)

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
            if name.startswith("_"):  # asked for by pickle, notebooks and the like, and caught by them
                raise AttributeError(f"a State has no attribute {name!r}", name=name, obj=self)
            from pybuild.dsl.args import suggestion

            known = {each: None for each in dir(ExecState) if not each.startswith("_")}
            raise ChainError(f'a State has no "{name}"', locations=[capture()], hint=suggestion(name, known))


class ExecState(State):
    """The state after a `run`: as any state, and mounts can be added to the run.

    Example:
        >>> from pybuild import image, tmpfs
        >>> image("alpine").run("make").mount(tmpfs("/tmp"))
        <ExecState make>
    """

    __slots__ = ("_run",)
    _run: Run

    @classmethod
    def _of(cls, run: Run, config: Config) -> ExecState:
        state = cls._make(Edge(run.vertex()), config, run.platform, run.location)
        object.__setattr__(state, "_run", run)
        return state

    @public
    def mount(self, *mounts: Mount) -> ExecState:
        """Add mounts to the run; the same as giving them in `run(mounts=...)`.

        The order of mounts has no meaning. This state stays valid as it was.

        Raises:
            MountConflictError: two mounts of the run have the same target.

        Example:
            >>> from pybuild import cache, image
            >>> image("golang:1.24").run("go build").mount(cache("/root/.cache/go-build"))
            <ExecState go build>
        """
        location = capture()
        run = self._run.attach(mounts, location)
        return ExecState._of(attrs.evolve(run, location=run.location.with_range(location)), self._config)

    @public
    def output(self, target: str) -> State:
        """What the run made of a writable bind mount.

        Args:
            target: the mount's target.

        Raises:
            DefinitionError: there is no mount at `target`, or it keeps no changes.

        Example:
            >>> from pybuild import bind, image, scratch
            >>> image("alpine").run("touch /out/x").mount(bind(scratch(), "/out", readonly=False)).output("/out")
            <State touch /out/x>
        """
        assert self._head is not None
        wanted = posixpath.normpath(join(self._run.meta.cwd, target))
        place = capture()
        for mount in self._mounts():
            if posixpath.normpath(mount.target) != wanted:
                continue
            if isinstance(mount, BindMount) and mount.output != NO_OUTPUT:
                edge = Edge(self._head.vertex, OutputIndex(mount.output))
                return State._make(edge, EMPTY, self._platform, place)
            hint = "use bind(..., readonly=False)" if isinstance(mount, BindMount) else ""
            kind = "read-only" if isinstance(mount, BindMount) else type(mount).__name__.removesuffix("Mount")
            raise DefinitionError(
                f'the {kind.lower()} mount at "{target}" keeps no changes',
                locations=[place, self._run.location],
                hint=hint,
            )
        raise DefinitionError(
            f'the run has no mount at "{target}"',
            locations=[place, self._run.location],
            hint=f'add .mount(bind(..., "{target}", readonly=False)) first',
        )

    def _mounts(self) -> tuple[PlacedMount, ...]:
        return self._head.vertex.op.mounts if self._head and isinstance(self._head.vertex.op, ExecOp) else ()

    def __reduce__(self) -> tuple[object, ...]:
        return ExecState._of, (self._run, self._config)


def _advice(message: str, hint: str) -> ArgumentError:
    return ArgumentError(message, locations=[capture()], hint=hint)


def _rebuild(head: Edge | None, config: Config, platform: Platform | None, location: Location) -> State:
    return State._make(head, config, platform, location)


def _kept_end(path: str) -> str:
    return "/." if path.endswith("/.") and len(path) > 2 else ""
