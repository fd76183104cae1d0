"""SOURCE_DATE_EPOCH: a number, or what to take it from: `context`, a named context, or a stage that only ADDs.

Mirrors dockerfile2llb/epoch.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pybuild.errors import FrontendError, ReferenceFormatError
from pybuild.frontend.dockerfile.instructions import Add, Arg, Stage
from pybuild.frontend.dockerfile.lower.contexts import Contexts
from pybuild.frontend.dockerfile.lower.namedcontext import find_context
from pybuild.frontend.dockerfile.lower.outputs import Output
from pybuild.frontend.dockerfile.lower.scope import located
from pybuild.frontend.dockerfile.lower.sources import git, http
from pybuild.frontend.dockerfile.lower.transfer import is_git
from pybuild.frontend.dockerfile.lower.values import check_digest
from pybuild.frontend.dockerfile.shellwords import Lexer
from pybuild.llb.giturl import parse_git_ref
from pybuild.llb.weburl import download_name

NAME = "SOURCE_DATE_EPOCH"
_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_ONE = "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD"


def resolve_epoch(
    value: str,
    contexts: Contexts,
    stages: Sequence[Stage],
    values: Mapping[str, str],
    given: Mapping[str, str],
    lexer: Lexer,
    file: str,
) -> int | None:
    """Seconds since 1970, or None when nothing gives a time.

    Args:
        value: as given.
        contexts: where contexts are looked up.
        stages: of the Dockerfile.
        values: arguments before the first FROM.
        given: build arguments.
        lexer: expands words.
        file: what the Dockerfile is called.

    Raises:
        FrontendError: it names nothing, or a stage that cannot give a time.
    """
    if not value:
        return None
    if _NUMBER.fullmatch(value) and -(1 << 63) <= int(value) < 1 << 63:
        return int(value)
    source = _source(value, contexts, stages, values, given, lexer, file)
    head = None if source is None else source.build()
    return None if head is None else contexts.host.source_time(head)


def _source(
    value: str,
    contexts: Contexts,
    stages: Sequence[Stage],
    values: Mapping[str, str],
    given: Mapping[str, str],
    lexer: Lexer,
    file: str,
) -> Output | None:
    if value == "context":
        return contexts.main_source()
    context = find_context(contexts, value, None)
    if context is not None:
        return context.load()[0].output
    for stage in stages:
        if stage.name and stage.name.lower() == value.lower():
            env = {name: text for name, text in values.items() if name != NAME}
            try:
                return _StageSource(env, given, lexer).read(stage)
            except FrontendError as error:
                raise located(error, stage.lines, file) from None
    raise FrontendError(f"invalid SOURCE_DATE_EPOCH: {value}")


class _StageSource:
    """Reads a stage of nothing but ARG and one remote ADD."""

    def __init__(self, env: dict[str, str], given: Mapping[str, str], lexer: Lexer) -> None:
        self._env = env
        self._given = given
        self._lexer = lexer

    def read(self, stage: Stage) -> Output:
        if self._expand(stage.base) != "scratch":
            raise FrontendError("SOURCE_DATE_EPOCH stage must use FROM scratch")
        found: Output | None = None
        for command in stage.commands:
            if isinstance(command, Arg):
                self._take_args(command)
            elif isinstance(command, Add):
                if found is not None:
                    raise FrontendError(_ONE)
                found = self._add(command)
            else:
                raise FrontendError(
                    "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported "
                    f"{command.keyword} instruction"
                )
        if found is None:
            raise FrontendError(_ONE)
        return found

    def _expand(self, word: str) -> str:
        return self._lexer.word(word, self._env).text

    def _take_args(self, command: Arg) -> None:
        for definition in command.definitions:
            value = self._given.get(definition.name)
            if value is None and definition.value is not None:
                value = self._expand(definition.value)
            if value is not None:
                self._env.pop(definition.name, None)
                self._env[definition.name] = value

    def _add(self, command: Add) -> Output:
        if command.inline or len(command.sources) != 1:
            raise FrontendError(f"{_ONE} source")
        address = self._expand(command.sources[0])
        checksum = self._expand(command.checksum) if command.checksum else ""
        if address.startswith(("http://", "https://")) and not is_git(address):
            return http(address, download_name(address), checksum=_checked(checksum))
        try:
            ref = parse_git_ref(address)
        except ReferenceFormatError as error:
            raise FrontendError(error.message) from None
        if ref is None or ref.looks_local:
            raise FrontendError("SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD")
        keep = bool(command.keep_git_dir) or bool(ref.keep_git_dir)
        return git(ref, keep_git_dir=keep, checksum=checksum or ref.checksum)


def _checked(checksum: str) -> str:
    try:
        return check_digest(checksum) if checksum else ""
    except ValueError as error:
        raise FrontendError(str(error)) from None
