"""What stages are based on: scratch, an image that is looked up, or a named context in its place.

Mirrors `resolveReachableStages` and `resolveBaseImage` of dockerfile2llb. Only reachable stages are looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pybuild.errors import FrontendError, PybuildError
from pybuild.frontend.dockerfile.gotext import quote
from pybuild.frontend.dockerfile.lines import NOWHERE
from pybuild.frontend.dockerfile.lower import checks, platforms
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.frontend.dockerfile.lower.metadata import metadata
from pybuild.frontend.dockerfile.lower.namedcontext import NamedContext, find_context
from pybuild.frontend.dockerfile.lower.names import step_name
from pybuild.frontend.dockerfile.lower.outputs import State
from pybuild.frontend.dockerfile.lower.references import Named, parse_named
from pybuild.frontend.dockerfile.lower.scope import Scope, located, prefixed
from pybuild.frontend.dockerfile.lower.sources import image
from pybuild.frontend.dockerfile.lower.stage import SCRATCH, StageState
from pybuild.frontend.dockerfile.suggest import hint
from pybuild.frontend.protocols import FrontendImage
from pybuild.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Collection

_COMMON: Final = tuple(
    text
    for name in ("alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora")
    for text in (name, f"docker.io/library{name}", f"{name}:latest", f"docker.io/library{name}:latest")
)


def resolve_bases(scope: Scope, wanted: Collection[StageState]) -> None:
    """Give every stage that is based on no other one its file system and config.

    Args:
        scope: the lowering.
        wanted: the stages that are needed; others are not looked up.

    Of several that fail the last one that was looked up is told if it is among them, else the first. BuildKit looks all
    of them up at once, and its scheduler mostly lets the last one go first.

    Raises:
        FrontendError: a base is no valid reference.
        SourceFetchError: an image cannot be looked up.
    """
    failures: list[PybuildError] = []
    last_failed = False
    for stage in list(scope.stages.all):
        if stage.base is not None or stage.dispatched or stage.resolved:
            continue
        stage.resolved = stage in wanted
        if stage.base_name == SCRATCH and stage.context is None:
            _start_from_scratch(scope, stage)
            continue
        last_failed = False
        try:
            _resolve(scope, stage, needed=stage in wanted)
        except PybuildError as error:
            failures.append(located(error, stage.lines, scope.text.filename))
            last_failed = True
        finally:
            if not stage.registered:
                stage.dispatched = True
    if failures:
        raise failures[-1 if last_failed else 0] from None


def _start_from_scratch(scope: Scope, stage: StageState) -> None:
    stage.state = State()
    stage.image = Image.empty(scope.target_platform)
    stage.platform = scope.target_platform
    if not stage.registered:
        stage.dispatched = True


def _resolve(scope: Scope, stage: StageState, *, needed: bool) -> None:
    written = stage.base_name
    try:
        reference = parse_named(written)
    except ValueError as error:
        raise FrontendError(f"failed to parse stage name {quote(written)}: {error}") from None
    platform = stage.platform or scope.target_platform
    stage.base_name = str(reference.tagged)
    if not needed:
        # Its FROM is counted all the same, and again when a trigger makes it needed after all.
        _from_name(scope, stage, platform)
        stage.platform = platform
        return
    if stage.context is not None:
        _take_stage_context(stage, stage.context)
        return
    context = find_context(scope.contexts, stage.base_name, platform, lambda: follow_paths(stage.paths))
    if context is not None:
        _take_base_context(stage, context, platform)
        return
    _take_image(scope, stage, reference, written, platform)


def _take_stage_context(stage: StageState, context: NamedContext) -> None:
    """A context of the stage's own name stands for the whole stage."""
    state, config = context.load()
    stage.dispatched = True
    stage.state = state
    if config is not None:
        config.created = ""
        stage.image = config
        if config.architecture and config.os:
            stage.platform = config.platform


def _take_base_context(stage: StageState, context: NamedContext, platform: Platform) -> None:
    """A context of the base's name stands for the base."""
    state, config = context.load()
    document = config or Image.empty(platform)
    stage.base_image = document.copy()
    document.created = ""
    stage.image = document
    stage.state = state
    stage.state.platform = platforms.normalize(platform)
    stage.platform = platform


def _take_image(scope: Scope, stage: StageState, reference: Named, written: str, platform: Platform) -> None:
    found = _look_up(scope, stage, written, platform)
    if str(reference) != found.reference:
        try:
            reference = parse_named(found.reference)
        except ValueError as error:
            raise FrontendError(f"failed to parse ref {quote(found.reference)}: {error}") from None
    try:
        config = Image.parse(found.config)
    except ValueError as error:
        raise FrontendError(f"failed to parse image config: {error}") from None
    stage.base_image = config.copy()
    config.created = ""
    if stage.platform is None and scope.implicit_target:
        platform = _detected(config, platform, scope.options.build_platforms)
    if found.digest:
        reference = reference.pinned(found.digest)
    stage.base_name = str(reference)
    stage.image = config
    stage.platform = platform
    stage.state = State() if config.is_empty else _image_state(scope, stage, written, platform)


def _look_up(scope: Scope, stage: StageState, written: str, platform: Platform) -> FrontendImage:
    prefix = f"[{platforms.print_all(platform)} internal]" if scope.options.multi_platform else "[internal]"
    mode = scope.options.resolve_mode
    wanted = image(
        stage.base_name,
        platform=platform,
        resolve_mode=mode,
        metadata=metadata(f"{prefix} load metadata for {stage.base_name}"),
    )
    try:
        return scope.contexts.host.resolve_image(wanted.build())
    except PybuildError as error:
        problem = prefixed(written, error)
        problem.message += hint(written, [*scope.stages.names, *_COMMON])
        problem.args = (problem.message, *problem.args[1:])
        raise problem from None


def _image_state(scope: Scope, stage: StageState, written: str, platform: Platform) -> State:
    name = _from_name(scope, stage, platform)
    code = stage.stage.code if stage.stage is not None else ""
    output = image(
        stage.base_name,
        platform=platform,
        resolve_mode=scope.options.resolve_mode,
        metadata=metadata(name, code),
        locations=scope.locations(stage.lines),
    )
    checks.base_platform(scope.linter, stage.lines or NOWHERE, written, platform, stage.image.platform)
    state = State.of(output)
    state.platform = platforms.normalize(platform)
    return state


def _from_name(scope: Scope, stage: StageState, platform: Platform) -> str:
    text = f"FROM {stage.base_name}"
    return step_name(stage, text, with_platform=scope.options.multi_platform, platform=platform, env={})


def _detected(config: Image, target: Platform, supported: tuple[Platform, ...]) -> Platform:
    """The platform of a base image where nobody asked for one, if the worker can run it."""
    if (target.os, target.architecture) == (config.os, config.architecture):
        return target
    for platform in supported:
        if (platform.os, platform.architecture) == (config.os, config.architecture):
            return platform
    return target


def follow_paths(paths: set[str]) -> list[str]:
    """What `local.followpaths` is for the paths that are used; empty for all.

    Example:
        >>> follow_paths({"/src", "/go.mod"}), follow_paths({"/", "/a"})
        (['go.mod', 'src'], [])
    """
    if "/" in paths:
        return []
    from pybuild.frontend.dockerfile.lower.gojson import in_byte_order
    from pybuild.frontend.dockerfile.lower.paths import go_join

    return in_byte_order(go_join(".", path.lstrip("/")) if path.strip("/") else "." for path in paths)
