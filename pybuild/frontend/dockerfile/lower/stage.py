"""The stages of a build while they are lowered: what each is based on, what it needs, and what it has become.

There is one `StageState` per FROM, and one for every image or context that `COPY --from` or `RUN --mount=from` names
without a FROM (`registered` is False). Mirrors `dispatchState` and `dispatchStates` of dockerfile2llb/convert.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import attrs

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile.instructions import ArgDefinition, Command, Stage
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.frontend.dockerfile.lower.outline import OutlineFacts
from pybuild.frontend.dockerfile.lower.outputs import State
from pybuild.frontend.dockerfile.lower.standins import StandIn, itself
from pybuild.frontend.dockerfile.suggest import hint
from pybuild.platform import Platform
from pybuild.values import Value

if TYPE_CHECKING:
    from pybuild.frontend.dockerfile.lower.namedcontext import NamedContext

SCRATCH = "scratch"


@attrs.frozen
class Step(Value):
    """A command of a stage with the stages that it reads from (one per mount of a RUN)."""

    command: Command
    sources: tuple[StageState, ...] = ()
    from_trigger: bool = False


@attrs.define(kw_only=True, eq=False)
class StageState:
    """One stage.

    Attributes:
        stage: its FROM; None for an image named elsewhere.
        base_name: image or stage that it is based on, expanded; the pinned reference once resolved.
        lines: of its FROM; None where it has none.
        display: its name in progress: `AS NAME`, or `stage-N`; "" when it is the only one.
        base: the stage that it is based on.
        deps: the stages that its commands read from, each with one such command.
        args: the ARGs that apply, those of the base last.
        context_paths: what it uses of the build context.
        paths: what others use of it (shared along bases): what a named context must transfer.
        total: number of steps that progress counts.
    """

    stage: Stage | None = None
    base_name: str
    lines: Lines | None = None
    registered: bool = True
    display: str = ""
    base: StageState | None = None
    base_image: Image | None = None
    context: NamedContext | None = None
    platform: Platform | None = None
    state: State = attrs.field(factory=State)
    image: Image = attrs.field(factory=Image)
    steps: list[Step] = attrs.field(factory=list[Step])
    deps: dict[StageState, Command] = attrs.field(factory=dict["StageState", Command])
    args: list[ArgDefinition] = attrs.field(factory=list[ArgDefinition])
    context_paths: set[str] = attrs.field(factory=set[str])
    paths: set[str] = attrs.field(factory=set[str])
    dispatched: bool = False
    resolved: bool = False
    triggers_read: bool = False
    no_cache: bool = False
    workdir_set: bool = False
    index: int = 0
    total: int = 0
    in_trigger: bool = False
    outline: OutlineFacts = attrs.field(factory=OutlineFacts)
    scan_stage: bool = False
    scan_context: bool = False
    seen_once: dict[str, Lines] = attrs.field(factory=dict[str, Lines])

    @property
    def name(self) -> str:
        """`AS NAME`, or an empty string."""
        return self.stage.name if self.stage is not None else ""

    @property
    def os(self) -> str:
        """The operating system that paths are for."""
        return self.platform.os if self.platform is not None else "linux"

    def inherit(self) -> None:
        """Take over what the base stage has become."""
        base = self.base
        if base is None:
            return
        self.state = base.state.copy()
        self.platform = base.platform
        self.image = base.image.copy()
        self.image.on_build = []
        self.base_image = base.base_image
        self.paths = base.paths
        self.workdir_set = base.workdir_set
        self.args += base.args


@final
class Stages:
    """All stages, in order; later ones of a name hide earlier ones.

    Args:
        stand_in: tells which stage stands for a name.
    """

    def __init__(self, stand_in: StandIn = itself) -> None:
        self._stand_in = stand_in
        self.all: list[StageState] = []
        self._by_name: dict[str, StageState] = {}

    def add(self, stage: StageState) -> None:
        """Add a stage and connect it with the stage it is based on.

        Raises:
            FrontendError: the stage that stands for its base is none of those before it.
        """
        self.all.append(stage)
        base = self.named(stage.base_name) if self._stand_in(stage.base_name) else self._by_name.get(stage.base_name)
        if base is not None:
            stage.base = base
            stage.outline = base.outline.copy()
        if stage.name:
            self._by_name[stage.name.lower()] = stage

    def named(self, name: str) -> StageState | None:
        """The stage of a name, in any case, or the one that stands for it.

        Raises:
            FrontendError: that one is not there (yet).
        """
        other = self._stand_in(name)
        if not other:
            return self._by_name.get(name.lower())
        found = self._by_name.get(other.lower())
        if found is None:
            raise FrontendError(
                f'the build context {name} is target:{other}, and no stage before this one is called "{other}"'
                + hint(other, self.names)
            )
        return found

    def at(self, index: int) -> StageState:
        """The stage of a number, from 0.

        Raises:
            FrontendError: there is none.
        """
        if not 0 <= index < len(self.all):
            raise FrontendError(f"invalid stage index {index}")
        return self.all[index]

    @property
    def names(self) -> list[str]:
        """The names in progress, for suggestions."""
        return [stage.display for stage in self.all if stage.display]


def reachable(target: StageState) -> list[StageState]:
    """The target and all stages that it needs."""
    found: dict[StageState, None] = {}
    stack = [target]
    while stack:
        stage = stack.pop()
        if stage in found:
            continue
        found[stage] = None
        if stage.base is not None:
            stack.append(stage.base)
        stack += stage.deps
    return list(found)


def check_cycles(stages: Sequence[StageState], file: str) -> None:
    """Refuse stages that copy from each other in a circle.

    Raises:
        FrontendError: with the places of the commands on the way.
    """
    visited: set[StageState] = set()
    for root in stages:
        commands = _find_cycle(root, visited)
        if commands is not None:
            error = FrontendError(f"circular dependency detected on stage: {root.display}")
            error.locations = tuple(command.lines.location(file) for command in commands)
            raise error


def _find_cycle(root: StageState, visited: set[StageState]) -> list[Command] | None:
    if root in visited:
        return None
    visited.add(root)
    path: list[Command] = []
    on_path = {root}
    stack = [(root, iter(list(root.deps.items())))]
    while stack:
        stage, dependencies = stack[-1]
        for below, command in dependencies:
            if below in on_path:
                return [*path, command]
            if below in visited:
                continue
            visited.add(below)
            on_path.add(below)
            path.append(command)
            stack.append((below, iter(list(below.deps.items()))))
            break
        else:
            stack.pop()
            on_path.discard(stage)
            if path:
                path.pop()
    return None
