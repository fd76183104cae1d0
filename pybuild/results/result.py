"""`BuildResult`: what a build made, to look at, to run commands in, and to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, final

import attrs

from pybuild.digest import Digest
from pybuild.errors import ArgumentError, EngineUnavailable
from pybuild.llb.vertex import Graph
from pybuild.platform import Platform, parse_platform
from pybuild.progress import StepLog
from pybuild.request import ExportResult, PlatformResult, Ref, SolveResult, StepResult

if TYPE_CHECKING:
    from pybuild.dsl.state import State
    from pybuild.engine.buildkit.engine import BuildKitEngine
    from pybuild.engine.embedded import EmbeddedEngine
    from pybuild.location import Location
    from pybuild.oci.imageconfig import ImageConfig
    from pybuild.results.completed import Completed
    from pybuild.results.files import FileSystem
    from pybuild.results.logs import Log
    from pybuild.results.steps import Steps
    from pybuild.session.local import LocalSession
    from pybuild.viz.drawing import Drawing

Heads: TypeAlias = "tuple[tuple[Platform, State], ...]"
NO_FILES: Final = Ref(snapshot="")
_DRAWN: Final = 200
"""How many steps a notebook draws; of larger graphs it shows the table."""


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Origin:
    """Where a result comes from: what was built, by what, with what the client offered, and what was printed.

    Attributes:
        heads: what was built for each platform; () where it is not known.
        shown: which of them `fs` and `run` are about.
    """

    ref: Ref = NO_FILES
    logs: Mapping[Digest, Sequence[StepLog]] = attrs.field(factory=dict[Digest, Sequence[StepLog]])
    heads: Heads = ()
    shown: int = 0
    engine: EmbeddedEngine | BuildKitEngine | None = None
    session: LocalSession | None = None
    allow: tuple[str, ...] = ()

    def head(self, what: str) -> tuple[Platform, State]:
        """What `fs` and `run` are about. Raises ArgumentError: nobody knows, and `what` cannot be done."""
        if not self.heads or self.engine is None:
            raise ArgumentError(f"{what}: this result does not know what was built")
        return self.heads[self.shown]


UNKNOWN: Final = Origin()


@final
@attrs.frozen(kw_only=True, repr=False)
class BuildResult:
    """What a build made.

    Attributes:
        results: how every step went, in topological order; `steps` is the same as a table.
        config: the image config of the result.
        metadata: what the exporters said, by the keys of buildx's --metadata-file.
        exports: what each exporter wrote.
        duration: seconds from start to end.
        graph: what was built, with images pinned; `drawing` shows how it went.
        variants: what was made for each platform; `for_platform` shows one of them.

    Example:
        >>> from pybuild import scratch
        >>> result = scratch().write("/motd", "welcome").build()  # doctest: +SKIP
        >>> result.fs.read_text("/motd")  # doctest: +SKIP
        'welcome'
    """

    results: tuple[StepResult, ...]
    config: ImageConfig
    metadata: Mapping[str, object]
    exports: tuple[ExportResult, ...]
    duration: float
    graph: Graph = attrs.field(default=Graph([]), eq=False)
    origin: Origin = attrs.field(default=UNKNOWN, eq=False)
    variants: tuple[PlatformResult, ...] = attrs.field(default=(), eq=False)

    @classmethod
    def of(cls, result: SolveResult, origin: Origin | None = None) -> BuildResult:
        """From what an engine returned; `origin` is what `fs`, `run` and `log` go by."""
        return cls(
            results=result.steps,
            config=result.config,
            metadata=result.metadata,
            exports=result.exports,
            duration=result.duration,
            graph=result.graph,
            origin=UNKNOWN if origin is None else attrs.evolve(origin, ref=result.ref),
            variants=result.results,
        )

    # ---------------------------------------------------------------------------------------------------- facts

    @property
    def digest(self) -> str:
        """Digest of the image manifest; "" when no image was written."""
        return str(self.metadata.get("containerimage.digest", ""))

    @property
    def cached(self) -> bool:
        """Whether nothing had to run."""
        return all(step.state in ("cached", "skipped") for step in self.results)

    @property
    def steps(self) -> Steps:
        """How every step went: state, time, bytes, and the line that wrote it."""
        from pybuild.results.steps import Steps

        return Steps(self.results, self.graph)

    @property
    def drawing(self) -> Drawing:
        """The graph with states and times."""
        from pybuild.viz.drawing import Drawing

        return Drawing(self.graph, steps=self.results)

    def for_platform(self, platform: str) -> BuildResult:
        """The same result for another of its platforms; files, image config and `run` are those of the first at first.

        Args:
            platform: such as `linux/arm64`.

        Raises:
            ArgumentError: the build was not for it, or its engine keeps results to itself.

        Example:
            >>> from pybuild import build, scratch
            >>> result = build(scratch().write("/a", "x"), platforms=["linux/amd64", "linux/arm64"])  # doctest: +SKIP
            >>> result.for_platform("linux/arm64").config.platform.architecture  # doctest: +SKIP
            'arm64'
        """
        wanted = parse_platform(platform)
        for number, variant in enumerate(self.variants):
            if variant.platform == wanted:
                origin = attrs.evolve(self.origin, ref=variant.ref, shown=number)
                return attrs.evolve(self, config=variant.config, origin=origin)
        if not self.variants and self.origin.heads and self.origin.heads[0][0] == wanted:
            return self  # of an engine that keeps the files to itself: what there is is of its first platform
        known = ", ".join(str(variant.platform) for variant in self.variants)
        raise ArgumentError(
            f"for_platform(): there is no result for {wanted}",
            hint=f"there are: {known}" if known else "this engine keeps the files of results to itself",
        )

    def log(self, step: str | StepResult | State | None = None) -> Log:
        """What steps printed; of a step that was cached, when it ran.

        Args:
            step: one of `steps`, a part of a name, or a state, whose last step is meant; None for all of them.

        Raises:
            ArgumentError: there is no such step.
        """
        from pybuild.results.logs import Log, text_of

        chosen = list(self.results) if step is None else self._chosen(step, "log()")
        parts = [
            text_of(self.origin.logs[each.digest]) if each.digest in self.origin.logs else self._kept(each)
            for each in chosen
        ]
        return Log("".join(parts))

    def _kept(self, step: StepResult) -> str:
        """What the store has of a step's log."""
        engine = self.origin.engine
        if not step.key or engine is None or engine.name != "embedded":
            return ""
        from pybuild.store.steplogs import read_log

        return read_log(cast("EmbeddedEngine", engine).store(), step.key).decode(errors="replace")

    def _chosen(self, step: str | StepResult | State, call: str) -> list[StepResult]:
        if isinstance(step, StepResult):
            wanted: Callable[[StepResult], bool] = step.__eq__
        elif isinstance(step, str):
            part = step
            wanted = lambda each: part in each.name  # noqa: E731
        else:
            places: set[Location] = set() if step.head is None else set(step.head.vertex.locations)
            digests = {vertex.digest for vertex in self.graph.vertices if places & set(vertex.locations)}
            wanted = lambda each: each.digest in digests  # noqa: E731
        found = [each for each in self.results if wanted(each)]
        if not found:
            shown = ", ".join(f'"{each.name}"' for each in self.results)
            raise ArgumentError(f"{call}: this build has no step {step!r}", hint=f"there are: {shown}")
        return found

    # ---------------------------------------------------------------------------------------------------- files

    @property
    def fs(self) -> FileSystem:
        """The files of the result.

        Raises:
            EngineUnavailable: an engine elsewhere has them; export them with `to_dir`.
            NotFound: they were removed from the store since.
        """
        from pybuild.engine.embedded import EmbeddedEngine

        engine = self.origin.engine
        if not isinstance(engine, EmbeddedEngine):
            name = "unknown" if engine is None else engine.name
            raise EngineUnavailable(
                f'the engine "{name}" keeps the files of results to itself',
                hint="build with the embedded engine, or export the files: to_dir(...)",
            )
        from pybuild.results.files import FileSystem

        return FileSystem.of_snapshot(engine.store(), self.origin.ref.snapshot)

    def run(self, command: str | Sequence[str], *, check: bool = True, **options: Any) -> Completed:
        """Run a command in the result, as a container of the image would; its changes are dropped.

        Args:
            command: text for the shell, or a list of arguments.
            check: whether an exit code other than 0 raises.
            options: as for `State.run`, such as `env`, `user`, `mounts` and `network`.

        Raises:
            ExecError: the exit code is not 0, and `check` is set.

        Example:
            >>> from pybuild import image
            >>> result = image("alpine").run("apk add make").build()  # doctest: +SKIP
            >>> result.run("make --version").stdout.splitlines()[0]  # doctest: +SKIP
            'GNU Make 4.4.1'
        """
        from pybuild.results.completed import run_in

        return run_in(self.origin, command, check=check, options=options)

    def shell(
        self,
        step: str | StepResult | State = "",
        *,
        before: bool = False,
        command: str | Sequence[str] = (),
        user: str = "",
        workdir: str = "",
    ) -> int:
        """A shell on this terminal, in the result or in one of its steps; what it changes is thrown away.

        A step that ran a command is seen with that command's mounts, secrets, environment, user and directory, the
        result as a container of the image would see it: as `pybuild shell` does it, see docs/debugging.md.

        Args:
            step: one of `steps`, a state, whose last step is meant, or what `pybuild shell TARGET@STEP` takes: a
                number, a line (":12"), a name or a part of one; "" is the result.
            before: as the step finds everything; otherwise as it leaves it.
            command: run this instead: text for /bin/sh, or a list of arguments. It needs no terminal.
            user: who runs it; the step's own user by default.
            workdir: where, absolute; the step's own directory by default.

        Returns:
            The exit code of the shell.

        Raises:
            EngineUnavailable: there is no terminal, as in a notebook, or an engine elsewhere has the files.
            TargetError: there is no such step, or several.

        Example:
            >>> from pybuild import image
            >>> result = image("alpine").run("apk add make").build()  # doctest: +SKIP
            >>> result.shell("apk add", command="ls /etc/apk")  # doctest: +SKIP
            0
        """
        from pybuild.protocols import Shell
        from pybuild.results.shells import open_shell

        name = step if isinstance(step, str) else str(self._chosen(step, "shell()")[-1].digest)
        argv = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
        return open_shell(self.origin, Shell(command=argv, user=user, workdir=workdir), step=name, before=before)

    # ---------------------------------------------------------------------------------------------------- shown

    def __repr__(self) -> str:
        return f"<BuildResult {self.digest or 'no image'}: {self._summary()}>"

    def _summary(self) -> str:
        ran = sum(step.state == "done" for step in self.results)
        several = f", for {', '.join(str(each.platform) for each in self.variants)}" if self.variants[1:] else ""
        return f"{ran} of {len(self.results)} steps ran, {self.duration:.1f} s{several}"

    def _repr_html_(self) -> str:
        image = f"image <code>{self.digest}</code>" if self.digest else "no image"
        return f"<p>{self._summary()}, {image}</p>{self.steps._repr_html_()}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: the drawing with states and times, and the steps as a table. Never raises."""
        import contextlib

        bundle = {"text/plain": f"{self!r}\n{self.steps!r}", "text/html": self._repr_html_()}
        with contextlib.suppress(Exception):
            if 0 < len(self.graph) <= _DRAWN:
                svg = self.drawing.text
                bundle["text/html"] += svg[svg.index("<svg") :]
        return bundle
