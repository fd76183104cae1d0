"""One instruction of a stage: its words expanded, then what it does. Mirrors `dispatch` of dockerfile2llb."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from pybuild.errors import FrontendError, PybuildError
from pybuild.frontend.dockerfile.expand import expanded, expanded_inline
from pybuild.frontend.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Import,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.lower import checks, config
from pybuild.frontend.dockerfile.lower.gojson import value_list
from pybuild.frontend.dockerfile.lower.paths import go_join
from pybuild.frontend.dockerfile.lower.run import lower_run
from pybuild.frontend.dockerfile.lower.scope import Scope, located
from pybuild.frontend.dockerfile.lower.stage import StageState, Step
from pybuild.frontend.dockerfile.lower.transfer import Transfer
from pybuild.frontend.dockerfile.lower.values import check_signal
from pybuild.frontend.dockerfile.shellwords import Lexer

_HEREDOC = Lexer(plain_quotes=True)


def lower_step(scope: Scope, stage: StageState, step: Step) -> None:
    """Apply one instruction to its stage.

    Raises:
        FrontendError: with the place of the instruction.
    """
    command = step.command
    stage.in_trigger = step.from_trigger
    linter = scope.linter_for(command.comments)
    try:
        _lower(scope, stage, _expanded(scope, stage, command, linter), step, linter)
    except PybuildError as error:
        raise located(error, command.lines, scope.text.filename) from None
    except ValueError as error:
        raise located(FrontendError(str(error)), command.lines, scope.text.filename) from None


def _expanded(scope: Scope, stage: StageState, command: Command, linter: Linter) -> Command:
    """The instruction with its variables replaced; an ARG may not need its default, so it does that itself."""

    def expander(lexer: Lexer) -> Callable[[str], str]:
        def expand(word: str) -> str:
            return checks.word_of(linter, command.lines, word, stage.state.env, stage.args, lexer)

        return expand

    if isinstance(command, Arg):
        return command
    return expanded_inline(expanded(command, expander(scope.lexer)), expander(_HEREDOC))


def _lower(scope: Scope, stage: StageState, command: Command, step: Step, linter: Linter) -> None:
    match command:
        case Run():
            lower_run(scope, stage, command, step.sources)
        case Add():
            Transfer(scope, stage, command, scope.main_context, linter, from_context=True).lower()
            paths = [path for path in command.sources if not path.startswith(("http://", "https://"))]
            stage.context_paths.update(go_join("/", path) for path in paths)
        case Copy():
            _copy(scope, stage, command, step, linter)
        case Import():
            raise AssertionError("imports are replaced before")
        case _:
            _lower_config(scope, stage, command, linter)


_ConfigCommand = (
    Arg
    | Cmd
    | Entrypoint
    | Env
    | Expose
    | Healthcheck
    | Label
    | Maintainer
    | Onbuild
    | Shell
    | StopSignal
    | User
    | Volume
    | Workdir
)


def _lower_config(scope: Scope, stage: StageState, command: _ConfigCommand, linter: Linter) -> None:  # noqa: C901  # one case per instruction
    image = stage.image
    match command:
        case Env():
            config.lower_env(scope, stage, command, linter)
        case Arg():
            config.lower_arg(scope, stage, command, linter)
        case Label():
            config.lower_label(scope, stage, command, linter)
        case Workdir():
            config.lower_workdir(scope, stage, command, linter)
        case Cmd():
            config.lower_cmd(scope, stage, command, linter)
        case Entrypoint():
            config.lower_entrypoint(scope, stage, command, linter)
        case Healthcheck():
            config.lower_healthcheck(scope, stage, command, linter)
        case Expose():
            config.lower_expose(scope, stage, command, linter)
        case Volume():
            config.lower_volume(scope, stage, command)
        case Maintainer():
            image.author = command.maintainer
            image.commit(f"MAINTAINER {command.maintainer}", created=scope.created)
        case User():
            stage.state.user = image.user = command.user
            image.commit(f"USER {command.user}", created=scope.created)
        case StopSignal():
            check_signal(command.signal)
            image.stop_signal = command.signal
            image.commit(f"STOPSIGNAL {command.signal}", created=scope.created)
        case Shell():
            image.shell = list(command.shell)
            image.commit(f"SHELL {value_list(command.shell)}", created=scope.created)
        case Onbuild():
            image.on_build.append(command.expression)
        case _:
            assert_never(command)


def _copy(scope: Scope, stage: StageState, command: Copy, step: Step, linter: Linter) -> None:
    source = step.sources[0] if step.sources else None
    if source is not None and not source.dispatched:
        raise FrontendError(
            f'cannot copy from stage "{command.source_stage}", it needs to be defined before current stage '
            f'"{stage.display}"'
        )
    tree = scope.main_context if source is None else source.state.output
    Transfer(scope, stage, command, tree, linter, from_context=source is None).lower()
    used = stage.context_paths if source is None else source.paths
    used.update(go_join("/", path) for path in command.sources)
