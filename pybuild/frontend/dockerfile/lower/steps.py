"""The steps of stages: their commands with the stages that these read from, triggers and imports put in place.

Mirrors the second half of `toDispatchState` of dockerfile2llb/convert.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from pybuild.errors import FrontendError, PybuildError
from pybuild.frontend.dockerfile.dockerfile import parse_export, parse_trigger
from pybuild.frontend.dockerfile.imports import imported
from pybuild.frontend.dockerfile.instructions import Add, Command, Copy, Import, Onbuild, Run, Workdir
from pybuild.frontend.dockerfile.lines import NOWHERE
from pybuild.frontend.dockerfile.lower.scope import Scope, located
from pybuild.frontend.dockerfile.lower.stage import SCRATCH, StageState, Step, check_cycles
from pybuild.frontend.dockerfile.lower.values import stage_index


def connect(scope: Scope) -> None:
    """Give every stage its steps, and find the stages that these read from.

    Args:
        scope: the lowering; its stages are all there.

    Raises:
        FrontendError: a stage is not there, or they read from each other in a circle.
    """
    for stage in scope.stages.all:
        if stage.stage is None:
            continue
        for command in stage.stage.commands:
            for step in _steps(scope, command):
                stage.steps.append(step)
                _depend(scope, stage, step)
    check_cycles(scope.stages.all, scope.text.filename)
    if len(scope.stages.all) == 1:
        scope.stages.all[0].display = ""


def take_triggers(scope: Scope, stage: StageState) -> bool:
    """Put the ONBUILD triggers of a base in front of the stage's own commands; tells whether they need stages.

    Raises:
        FrontendError: a trigger is wrong.
    """
    stage.inherit()
    triggers = list(stage.image.on_build)
    if stage.base is not None and not stage.triggers_read:
        triggers += [step.command.expression for step in stage.base.steps if isinstance(step.command, Onbuild)]
        stage.triggers_read = True
    if not triggers:
        return False
    try:
        steps = [_trigger(scope, stage, text) for text in triggers]
    except PybuildError as error:
        error.locations = ()
        raise located(error, stage.lines, scope.text.filename) from None
    stage.image.on_build = []
    stage.steps[:0] = steps
    stage.total += len(steps)
    for step in steps:
        _depend(scope, stage, step)
    return any(step.sources for step in steps)


def take_imports(scope: Scope, stage: StageState) -> bool:
    """Replace imports of images that were looked up by what they export; tells whether there were any.

    Raises:
        FrontendError: an image exports nothing, or what cannot be exported.
    """
    if not any(isinstance(step.command, Import) and step.sources[0].resolved for step in stage.steps):
        return False
    found: list[Step] = []
    for step in stage.steps:
        if not isinstance(step.command, Import) or not step.sources[0].resolved:
            found.append(step)
            continue
        steps = _imported(scope, step.command, step.sources[0])
        stage.total += sum(is_shown(new.command) for new in steps)
        for new in steps:
            _depend(scope, stage, new)
        found += steps
    stage.steps = found
    return True


def is_shown(command: Command) -> bool:
    """Whether progress counts an instruction as a step."""
    return isinstance(command, Add | Copy | Run | Workdir)


def _steps(scope: Scope, command: Command) -> Sequence[Step]:
    """The step of a command; of an import that a context turns to a stage, what that exports."""
    step = _step(scope, command)
    if isinstance(command, Import) and step.sources[0].stage is not None:
        return _imported(scope, command, step.sources[0])
    return [step]


def _step(scope: Scope, command: Command, *, from_trigger: bool = False) -> Step:
    sources: tuple[StageState, ...] = ()
    if isinstance(command, Copy) and command.source_stage:
        sources = (_copy_source(scope, command),)
    elif isinstance(command, Run):
        names = [mount.source_stage or SCRATCH for mount in command.mounts]
        sources = tuple(scope.stages.named(name) or StageState(base_name=name, registered=False) for name in names)
    elif isinstance(command, Import):
        sources = (_source(scope, command.name, command),)
    return Step(command, sources, from_trigger)


def _copy_source(scope: Scope, command: Copy) -> StageState:
    name = command.source_stage
    if scope.lexer.word(name, {}).text != name:
        raise FrontendError(
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global "
            "scope as a workaround"
        )
    index = stage_index(name)
    if index is not None:
        return scope.stages.at(index)
    return _source(scope, name, command)


def _source(scope: Scope, name: str, command: Command) -> StageState:
    found = scope.stages.named(name)
    return found or StageState(base_name=name, lines=command.lines, registered=False)


def _depend(scope: Scope, stage: StageState, step: Step) -> None:
    for source in step.sources:
        stage.deps[source] = step.command
        if not source.registered:
            scope.stages.add(source)


def _imported(scope: Scope, command: Import, source: StageState) -> list[Step]:
    file = scope.text.filename
    if source.stage is not None:
        exports = source.stage.exports
    else:
        exports = tuple(parse_export(text, command.lines, file=file) for text in source.image.exports)
    return [_step(scope, exported) for exported in imported(exports, command, file)]


def _trigger(scope: Scope, stage: StageState, text: str) -> Step:
    command = parse_trigger(text, lines=stage.lines or NOWHERE, file=scope.text.filename)
    return _step(scope, command, from_trigger=True)


__all__ = ["connect", "is_shown", "take_imports", "take_triggers"]
