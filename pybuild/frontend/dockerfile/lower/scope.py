"""What all instructions of one lowering share: the build's options, the host, the file, and the lint sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs

from pybuild.errors import PybuildError
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.lower.gojson import rfc3339
from pybuild.frontend.dockerfile.lower.ignored import Ignored
from pybuild.frontend.dockerfile.lower.options import Options
from pybuild.frontend.dockerfile.shellwords import Lexer
from pybuild.llb.meta import LinuxResources, ProxyEnv, Ulimit
from pybuild.location import Location, SourceText
from pybuild.platform import Platform

if TYPE_CHECKING:
    from pybuild.frontend.dockerfile.lower.contexts import Contexts
    from pybuild.frontend.dockerfile.lower.outputs import Output
    from pybuild.frontend.dockerfile.lower.stage import Stages

E = TypeVar("E", bound=PybuildError)


@attrs.define(kw_only=True, eq=False)
class Scope:
    """One lowering of one Dockerfile for one platform.

    Attributes:
        text: the Dockerfile; locations of vertices point into it.
        target_platform: what is built for.
        implicit_target: whether nobody asked for a platform.
        build_args: `--build-arg`, the epoch resolved.
        global_args: values before the first FROM.
        epoch: SOURCE_DATE_EPOCH in seconds.
        caps: what the engine can do.
        main_context: the build context; made last, when it is known what is used of it.
        ignored: tells what `.dockerignore` leaves out; None when there is none.
        labs: whether instructions of the labs channel are allowed.
    """

    options: Options
    contexts: Contexts
    text: SourceText
    linter: Linter
    lexer: Lexer
    stages: Stages
    target_platform: Platform
    implicit_target: bool
    build_args: dict[str, str]
    global_args: dict[str, str]
    caps: frozenset[str]
    main_context: Output
    epoch: int | None = None
    proxy: ProxyEnv | None = None
    ignored: Ignored | None = None
    labs: bool = False

    @property
    def build_platform(self) -> Platform:
        """Where steps run."""
        return self.options.build_platforms[0]

    @property
    def created(self) -> str:
        """The epoch as history entries have it; "" without one."""
        return rfc3339(self.epoch) if self.epoch is not None else ""

    @property
    def ulimits(self) -> tuple[Ulimit, ...]:
        """Limits of every step's processes, where the engine has them."""
        return self.options.ulimits if "exec.meta.ulimit" in self.caps else ()

    @property
    def shm_size(self) -> int:
        """Size of every step's /dev/shm in bytes, 0 for the default."""
        return self.options.shm_size if "exec.mount.tmpfs.size" in self.caps else 0

    @property
    def cgroup_parent(self) -> str:
        """The cgroup that steps run below."""
        return self.options.cgroup_parent if "exec.meta.cgroup.parent" in self.caps else ""

    @property
    def resources(self) -> LinuxResources | None:
        """Limits of every step."""
        return self.options.resources if "exec.meta.linux.resources" in self.caps else None

    def locations(self, lines: Lines | None) -> tuple[Location, ...]:
        """The place of a vertex, and what brought its instruction there."""
        return (Location.within(self.text, ()),) if lines is None else lines.within(self.text)

    def linter_for(self, comments: tuple[str, ...]) -> Linter:
        """The lint sink of an instruction with `comments` above it."""
        return self.linter.with_comments(comments)


def located(error: E, lines: Lines | None, file: str) -> E:
    """Add a place to an error; it may have one for what went wrong and one for what was going on."""
    place = Lines(0, -1) if lines is None else lines
    error.locations = (*error.locations, *place.locations(file))
    return error


def prefixed(what: str, error: PybuildError) -> PybuildError:
    """The same error with `what` in front of its message."""
    error.message = f"{what}: {error.message}"
    error.args = (error.message, *error.args[1:])
    return error
