"""The whole way from a Dockerfile to a lowered target. Mirrors `toDispatchState` of dockerfile2llb/convert.go.

In order: parse; arguments before the first FROM; stages and what they need of each other; look-ups of base images (as
often as ONBUILD triggers add something); the instructions of every stage that is needed; the result's config.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import attrs

from pybuild.errors import FrontendError, PybuildError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.dialect import PLAIN, Dialect
from pybuild.frontend.dockerfile.dockerfile import parse
from pybuild.frontend.dockerfile.instructions import (
    Dockerfile,
    Stage,
)
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.lower import checks, platforms
from pybuild.frontend.dockerfile.lower.args import default_args, global_args, proxy_env
from pybuild.frontend.dockerfile.lower.bases import follow_paths, resolve_bases
from pybuild.frontend.dockerfile.lower.config import set_working_dir
from pybuild.frontend.dockerfile.lower.contexts import Contexts
from pybuild.frontend.dockerfile.lower.epoch import NAME as EPOCH
from pybuild.frontend.dockerfile.lower.epoch import resolve_epoch
from pybuild.frontend.dockerfile.lower.ignored import Ignored
from pybuild.frontend.dockerfile.lower.image import default_path
from pybuild.frontend.dockerfile.lower.instructions import lower_step
from pybuild.frontend.dockerfile.lower.library import library_of
from pybuild.frontend.dockerfile.lower.namedcontext import find_context
from pybuild.frontend.dockerfile.lower.outline import OutlineFacts
from pybuild.frontend.dockerfile.lower.scope import Scope, located, prefixed
from pybuild.frontend.dockerfile.lower.stage import SCRATCH, Stages, StageState, reachable
from pybuild.frontend.dockerfile.lower.standins import SCHEME as STAGE_SCHEME
from pybuild.frontend.dockerfile.lower.standins import check_stages_named, stand_in
from pybuild.frontend.dockerfile.lower.steps import connect, is_shown, take_imports, take_triggers
from pybuild.frontend.dockerfile.shellwords import ExpansionError, Lexer
from pybuild.frontend.dockerfile.suggest import hint
from pybuild.location import SourceText
from pybuild.platform import Platform
from pybuild.values import Value


@attrs.frozen(kw_only=True)
class Lowered(Value):
    """A lowered Dockerfile: its target stage, and what the lowering knows."""

    target: StageState
    scope: Scope
    dockerfile: Dockerfile

    def scans(self) -> list[str]:
        """What an SBOM shall cover besides the result."""
        return (["context"] if self.target.scan_context else []) + [stage.display for stage in self._scanned()]

    @property
    def no_cache(self) -> bool:
        """Whether the target, or a stage that is scanned, is to run again."""
        return self.target.no_cache or any(stage.no_cache for stage in self._scanned())

    def _scanned(self) -> list[StageState]:
        return [stage for stage in reachable(self.target) if stage is not self.target and stage.scan_stage]


def lower(
    text: SourceText,
    contexts: Contexts,
    linter: Linter,
    *,
    target_platform: Platform | None,
    all_stages: bool = False,
    dialect: Dialect = PLAIN,
) -> Lowered:
    """Lower a Dockerfile for one platform.

    Args:
        text: the Dockerfile.
        contexts: the build's options and contexts.
        linter: where warnings go.
        target_platform: what to build for; None for what the worker is.
        all_stages: look at stages that nothing needs, too.
        dialect: what the Dockerfile may say.

    Raises:
        FrontendError: the Dockerfile or an option is wrong.
        SourceFetchError: a base image cannot be looked up.
    """
    return _Lowering(text, contexts, linter, target_platform, all_stages=all_stages, dialect=dialect).run()


@final
class _Lowering:
    def __init__(
        self,
        text: SourceText,
        contexts: Contexts,
        linter: Linter,
        target_platform: Platform | None,
        *,
        all_stages: bool,
        dialect: Dialect,
    ) -> None:
        self._text = text
        self._contexts = contexts
        self._options = contexts.options
        self._linter = linter
        self._asked_for = target_platform
        self._all_stages = all_stages
        self._dialect = dialect
        self._context_paths: set[str] = set()

    def run(self) -> Lowered:
        dockerfile = parse(
            self._text.data,
            file=self._text.filename,
            linter=self._linter,
            dialect=self._dialect,
            library=library_of(self._contexts, self._platform_args(self._options.target)),
        )
        scope, facts = self._scope(dockerfile)
        for number, stage in enumerate(dockerfile.stages):
            self._add_stage(scope, number, stage, facts)
        check_stages_named(self._contexts, [stage.name for stage in scope.stages.all if stage.name])
        target = self._target(scope)
        connect(scope)
        needed = self._resolve(scope, target)
        self._lower_stages(scope, needed)
        target.paths.add("/")
        self._finish(scope, target)
        return Lowered(target=target, scope=scope, dockerfile=dockerfile)

    # -------------------------------------------------------------------------------------------- before the stages

    def _scope(self, dockerfile: Dockerfile) -> tuple[Scope, OutlineFacts]:
        options = self._options
        lexer = Lexer(escape=dockerfile.escape)
        build_args = dict(options.build_args)
        name = options.target or dockerfile.stages[-1].name
        env = self._platform_args(name)
        checks.default_bases(self._linter, dockerfile.stages, dockerfile.global_args, env, lexer)
        values, args = global_args(env, dockerfile.global_args, build_args, lexer, self._text.filename)
        epoch = self._epoch(dockerfile, values, build_args, lexer)
        scope = Scope(
            options=options,
            contexts=self._contexts,
            text=self._text,
            linter=self._linter,
            lexer=lexer,
            stages=Stages(stand_in(self._contexts, self._asked_for)),
            target_platform=self._target_platform,
            implicit_target=self._asked_for is None,
            build_args=build_args,
            global_args=values,
            caps=self._contexts.host.capabilities,
            main_context=self._contexts.main(lambda: follow_paths(self._context_paths)),
            epoch=epoch,
            proxy=proxy_env(options.build_args),
            labs=self._dialect.labs,
        )
        return scope, OutlineFacts(args=args)

    @property
    def _target_platform(self) -> Platform:
        return self._asked_for or self._options.build_platforms[0]

    def _platform_args(self, stage: str) -> dict[str, str]:
        """The arguments that are always there; `stage` is the one that is built."""
        return default_args(self._options, self._dialect, self._target_platform, stage)

    def _epoch(
        self, dockerfile: Dockerfile, values: dict[str, str], build_args: dict[str, str], lexer: Lexer
    ) -> int | None:
        """Resolve SOURCE_DATE_EPOCH; where it was set, it becomes the number, or is set no more."""
        value = build_args.get(EPOCH)
        if value is None:
            value = values.get(EPOCH, "")
            if not value:
                return None
        epoch = resolve_epoch(value, self._contexts, dockerfile.stages, values, build_args, lexer, self._text.filename)
        for mapping in (build_args, values):
            if EPOCH in mapping:
                del mapping[EPOCH]
                if epoch is not None:
                    mapping[EPOCH] = str(epoch)
        return epoch

    # ---------------------------------------------------------------------------------------------------- the stages

    def _add_stage(self, scope: Scope, number: int, stage: Stage, facts: OutlineFacts) -> None:
        linter = scope.linter_for(stage.comments)
        known = list(dict.fromkeys([*facts.args, *scope.global_args]))
        try:
            base = scope.lexer.word(stage.base, scope.global_args)
        except ExpansionError as error:
            checks.undeclared_in_from(linter, stage.lines, error.unmatched, known)
            raise located(error, stage.lines, self._text.filename) from None
        checks.undeclared_in_from(linter, stage.lines, base.unmatched, known)
        if not base.text:
            blank = FrontendError(f"base name ({stage.base}) should not be blank")
            raise located(blank, stage.lines, self._text.filename)
        state = StageState(
            stage=stage, base_name=base.text, lines=stage.lines, display=stage.name, outline=facts.copy()
        )
        used = set(base.matched)
        if stage.platform:
            used |= self._set_platform(scope, state, stage, linter, known)
        if stage.name:
            state.context = find_context(
                self._contexts,
                stage.name,
                state.platform or self._asked_for,
                lambda: follow_paths(state.paths),
            )
            if state.context is not None and state.context.address.startswith(STAGE_SCHEME):
                state.context = None  # other stages do not see this one
            if state.context is not None:
                scope.stages.add(state)
                state.base = None
                return
        else:
            state.display = f"stage-{number}"
        try:
            scope.stages.add(state)
        except FrontendError as error:
            raise located(error, stage.lines, self._text.filename) from None
        state.outline.used |= used
        steps = sum(map(is_shown, stage.commands))
        state.total = steps + (state.base_name != SCRATCH and state.base is None)
        state.no_cache = self._options.is_no_cache(stage.name)

    def _set_platform(
        self, scope: Scope, state: StageState, stage: Stage, linter: Linter, known: Sequence[str]
    ) -> set[str]:
        """The platform of `FROM --platform`; returns the arguments that it uses."""
        file, env = self._text.filename, scope.global_args
        try:
            found = scope.lexer.word(stage.platform, env)
        except ExpansionError as error:
            checks.undeclared_in_from(linter, stage.lines, error.unmatched, known)
            raise located(prefixed("failed to process arguments for platform ", error), stage.lines, file) from None
        checks.undeclared_in_from(linter, stage.lines, found.unmatched, known)
        checks.from_platform(linter, stage, found, env)
        near = next((text for name in found.unmatched if (text := hint(name, env))), "")
        if not found.text:
            empty = FrontendError(f"empty platform value from expression {stage.platform}{near}")
            raise located(empty, stage.lines, file)
        try:
            state.platform = platforms.parse(found.text)
        except ValueError as problem:
            wrong = FrontendError(f"failed to parse platform {stage.platform}: {problem}{near}")
            raise located(located(wrong, stage.lines, file), stage.lines, file) from None
        return set(found.matched)

    def _target(self, scope: Scope) -> StageState:
        wanted = self._options.target
        if not wanted:
            return scope.stages.all[-1]
        found = scope.stages.named(wanted)
        if found is None:
            problem = f"target stage {gotext.quote(wanted)} could not be found"
            raise FrontendError(problem + hint(wanted, scope.stages.names))
        return found

    # --------------------------------------------------------------------------------------------------- base images

    def _resolve(self, scope: Scope, target: StageState) -> list[StageState]:
        """Look up base images until no trigger of theirs needs another one; returns the stages that are needed."""
        while True:
            found = set(reachable(target))
            needed = [stage for stage in scope.stages.all if stage in found]
            resolve_bases(scope, scope.stages.all if self._all_stages else needed)
            found_more = [stage for stage in needed if take_triggers(scope, stage)]
            found_more += [stage for stage in scope.stages.all if take_imports(scope, stage)]
            if not found_more:
                return needed

    # -------------------------------------------------------------------------------------------------- instructions

    def _lower_stages(self, scope: Scope, needed: Sequence[StageState]) -> None:
        patterns = self._contexts.ignore_patterns()
        scope.ignored = Ignored(patterns) if patterns else None
        wanted = set(needed)
        for stage in scope.stages.all:
            if not self._all_stages and (stage not in wanted or stage.dispatched):
                continue
            self._start(scope, stage)
            for step in stage.steps:
                lower_step(scope, stage, step)
            self._context_paths |= stage.context_paths
            self._note_scans(scope, stage)

    def _start(self, scope: Scope, stage: StageState) -> None:
        """What a stage inherits from its base."""
        stage.inherit()
        stage.dispatched = True
        stage.image.exports = [] if stage.stage is None else [export.expression for export in stage.stage.exports]
        if stage.platform is None:
            stage.platform = Platform("", "")
        image, state = stage.image, stage.state
        if not image.has_env("PATH") and stage.platform.os != "windows":
            image.env.append(f"PATH={default_path(stage.platform.os)}")
        for item in image.env:
            name, _, value = item.partition("=")
            state.set_env(name, value)
        if self._options.hostname:
            state.hostname = self._options.hostname
        if image.working_dir:
            try:
                set_working_dir(stage, image.working_dir)
            except PybuildError as error:
                raise located(error, stage.lines, self._text.filename) from None
        if image.user:
            state.user = image.user
        state.network = self._options.network

    def _note_scans(self, scope: Scope, stage: StageState) -> None:
        """Whether the stage or its context is to be scanned for an SBOM."""
        for name, field in (("BUILDKIT_SBOM_SCAN_CONTEXT", "scan_context"), ("BUILDKIT_SBOM_SCAN_STAGE", "scan_stage")):
            value = scope.global_args.get(name)
            for arg in stage.args:
                if arg.name == name and arg.value is not None:
                    value = arg.value
            if value is not None and _enabled(stage.display, value):
                setattr(stage, field, True)

    # -------------------------------------------------------------------------------------------------------- result

    def _finish(self, scope: Scope, target: StageState) -> None:
        image = target.image
        if self._options.labels:
            image.labels = {**(image.labels or {}), **self._options.labels}
        problem = self._linter.error()
        if problem is not None:
            raise problem
        if not scope.implicit_target:
            wanted = scope.target_platform
            same = (wanted.os, wanted.architecture) == (image.os, image.architecture)
            image.os, image.architecture = wanted.os, wanted.architecture
            if wanted.variant or not same:
                image.variant = wanted.variant
            if wanted.os_version or not same:
                image.os_version = wanted.os_version
            if wanted.os_features:
                image.os_features = list(wanted.os_features)
        normal = platforms.normalize(image.platform)
        image.os, image.architecture, image.variant = normal.os, normal.architecture, normal.variant


def _enabled(stage: str, value: str) -> bool:
    from pybuild.frontend.dockerfile.lower.options import truth

    found = truth(value)
    return stage in value.split(",") if found is None else found


__all__ = ["Lowered", "lower"]
