"""The lint rules that need more than the text: variables, stages, platforms. Mirrors dockerfile2llb/validations.go."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pybuild.frontend.dockerfile import gotext, rules
from pybuild.frontend.dockerfile.instructions import Arg, ArgDefinition, Instruction, Stage
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.lower import platforms
from pybuild.frontend.dockerfile.lower.args import NOT_IN_ENV, global_args
from pybuild.frontend.dockerfile.lower.references import parse_named
from pybuild.frontend.dockerfile.shellwords import Expansion, ExpansionError, Lexer
from pybuild.frontend.dockerfile.suggest import nearest
from pybuild.platform import Platform

if TYPE_CHECKING:
    from pybuild.frontend.dockerfile.lower.stage import StageState

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_PUBLIC = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)


def undefined_variables(
    linter: Linter,
    lines: Lines,
    unmatched: Iterable[str],
    args: Iterable[ArgDefinition],
    env: Mapping[str, str],
) -> None:
    """Variables that are used and neither set nor declared."""
    unmatched = list(unmatched)
    if not unmatched:
        return
    declared = {arg.name for arg in args}
    for name in unmatched:
        if name in declared or name in NOT_IN_ENV:
            continue
        found = nearest(name, env)
        linter.warn(rules.UNDEFINED_VAR, lines, name=name, suggestion=f" (did you mean ${found}?)" if found else "")


def word_of(
    linter: Linter,
    lines: Lines,
    text: str,
    env: Mapping[str, str],
    args: Iterable[ArgDefinition],
    lexer: Lexer,
) -> str:
    """A word with its variables replaced; those that are not defined are warned about, also where it is wrong.

    Raises:
        ExpansionError: bad quotes or `${...}`.
    """
    try:
        result = lexer.word(text, env)
    except ExpansionError as error:
        undefined_variables(linter, lines, error.unmatched, args, env)
        raise
    undefined_variables(linter, lines, result.unmatched, args, env)
    return result.text


def undeclared_in_from(linter: Linter, lines: Lines, unmatched: Iterable[str], known: Collection[str]) -> None:
    """Arguments in FROM that are not declared."""
    for name in unmatched:
        if name in known:
            continue
        found = nearest(name, known)
        suggestion = f" (did you mean {found}?)" if found else ""
        linter.warn(rules.UNDEFINED_ARG_IN_FROM, lines, name=name, suggestion=suggestion)


def from_platform(linter: Linter, stage: Stage, expansion: Expansion, env: Mapping[str, str]) -> None:
    """A `FROM --platform` that says what is the default anyway, or a constant."""
    only_target = expansion.matched == ("TARGETPLATFORM",) and not expansion.unmatched
    if only_target and expansion.text == env.get("TARGETPLATFORM", ""):
        linter.warn(rules.REDUNDANT_TARGET_PLATFORM, stage.lines, variable=stage.platform)
    if expansion.matched or expansion.unmatched:
        return
    try:
        platform = platforms.parse(expansion.text)
    except ValueError:
        return  # it fails later on
    if platform.os not in stage.name and platform.architecture not in stage.name:
        linter.warn(rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, stage.lines, platform=gotext.quote(expansion.text))


def base_platform(linter: Linter, lines: Lines, name: str, expected: Platform, actual: Platform) -> None:
    """A base image for another platform than the stage's."""
    if (expected.os, expected.architecture) == (actual.os, actual.architecture):
        return
    linter.warn(
        rules.INVALID_BASE_IMAGE_PLATFORM,
        lines,
        image=name,
        expected=gotext.quote(platforms.print_all(platforms.normalize(expected))),
        actual=gotext.quote(platforms.print_all(platforms.normalize(actual))),
    )


def default_bases(
    linter: Linter, stages: Sequence[Stage], args: Sequence[Arg], env: Mapping[str, str], lexer: Lexer
) -> None:
    """Base images that are valid only when build arguments are given."""
    try:
        values = global_args(env, args, {}, lexer)[0]
    except ExpansionError:
        return  # it fails later on
    for stage in stages:
        try:
            name = lexer.word(stage.base, values).text
        except ExpansionError:
            return
        try:
            parse_named(name)
        except ValueError:
            linter.warn(rules.INVALID_DEFAULT_ARG_IN_FROM, stage.lines, base=stage.base)


def secret_name(linter: Linter, lines: Lines, instruction: str, name: str) -> None:
    """A variable whose name says that it holds a secret."""
    if _SECRET.search(name) and not _PUBLIC.search(name):
        linter.warn(rules.SECRETS_USED_IN_ARG_OR_ENV, lines, instruction=instruction, key=gotext.quote(name))


def used_once(linter: Linter, stage: StageState, instruction: Instruction, kind: str) -> None:
    """An instruction of which only the last one in a stage counts; the one before is what is warned about."""
    earlier = stage.seen_once.get(kind)
    if earlier is not None:
        linter.warn(rules.MULTIPLE_INSTRUCTIONS_DISALLOWED, earlier, instruction=instruction.keyword)
    stage.seen_once[kind] = instruction.lines
