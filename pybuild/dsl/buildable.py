"""The execution edge of a state: building it, and looking into its files."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pybuild._api import Progress
    from pybuild.dsl.state import State
    from pybuild.protocols import Engine, OutputSpec
    from pybuild.results.files import FileSystem
    from pybuild.results.result import BuildResult


class Buildable(ABC):  # noqa: B024  # a part of State, never made alone
    """What an engine can build."""

    __slots__ = ()

    def build(
        self,
        output: OutputSpec | None = None,
        *,
        engine: Engine | str = "auto",
        platforms: Sequence[str] = (),
        progress: Progress = "auto",
        secrets: Mapping[str, Any] | None = None,
        ssh: Sequence[str] = (),
        no_cache: bool | Sequence[str] = False,
        allow: Sequence[str] = (),
        cache_to: Sequence[str] = (),
        cache_from: Sequence[str] = (),
        attest: Sequence[str] = (),
        on_error: str = "",
    ) -> BuildResult:
        """Build this state; see `pybuild.build`.

        Example:
            >>> from pybuild import image, to_oci
            >>> result = image("alpine").run("make").build(to_oci("app.tar"))  # doctest: +SKIP
        """
        from pybuild._api import build

        # `build` itself says which engines it takes; their classes lie above this package.
        return build(
            cast("State", self),
            output,
            engine=cast("Any", engine),
            platforms=platforms,
            progress=progress,
            secrets=secrets,
            ssh=ssh,
            no_cache=no_cache,
            allow=allow,
            cache_to=cache_to,
            cache_from=cache_from,
            attest=attest,
            on_error=on_error,
        )

    @property
    def result(self) -> BuildResult:
        """The result of this state, which is built first if need be, silently: its steps, logs, config and files.

        Each use looks anew, so that a changed local directory is seen; keep the value to look at one and the same.

        Raises:
            SolveError: a step failed.

        Example:
            >>> from pybuild import image
            >>> tools = image("alpine").run("apk add make")
            >>> tools.run("make all").build()  # doctest: +SKIP
            >>> tools.result.run("make --version").ok  # doctest: +SKIP
            True
        """
        return self.build(progress="quiet")

    @property
    def fs(self) -> FileSystem:
        """The files of `result`.

        Raises:
            SolveError: a step failed.

        Example:
            >>> from pybuild import scratch
            >>> scratch().write("/motd", "welcome").fs.read_text("/motd")  # doctest: +SKIP
            'welcome'
        """
        return self.result.fs
