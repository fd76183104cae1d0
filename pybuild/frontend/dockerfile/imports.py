"""IMPORT is replaced by what the stage exports, before anything else is made of a Dockerfile.

So a file with IMPORT and the same file written out are the same from here on: equal digests, cache entries, history.
What is imported from images stays until they are looked up, and is replaced by the same `imported` then.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import final

import attrs

from pybuild.errors import FrontendError, InstructionError
from pybuild.frontend.dockerfile import extensionrules
from pybuild.frontend.dockerfile.extensions import SELF
from pybuild.frontend.dockerfile.instructions import Command, Copy, Env, Export, Import, KeyValue, Run, Stage, Transfer
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.mounts import source_only

_FROM_SELF = re.compile(rf'((?:^|,)"?from=){SELF}(?=[",]|$)', re.IGNORECASE)


def expand_imports(stages: Sequence[Stage], *, file: str, linter: Linter) -> tuple[Stage, ...]:
    """The stages with every IMPORT of one of them replaced.

    Args:
        stages: of one file, as parsed.
        file: what it is called.
        linter: where warnings about imports that are in each other's way go.

    Raises:
        FrontendError: a stage imports itself, directly or not, or one that is defined later.
        InstructionError: the stage exports nothing.
    """
    if not any(isinstance(command, Import) for stage in stages for command in stage.commands):
        return tuple(stages)
    numbers = {stage.name: number for number, stage in enumerate(stages) if stage.name}
    return tuple(_Expansion(stages, numbers, number, file, linter).run() for number in range(len(stages)))


@final
class _Expansion:
    """The imports of one stage."""

    def __init__(
        self, stages: Sequence[Stage], numbers: Mapping[str, int], number: int, file: str, linter: Linter
    ) -> None:
        self._stages = stages
        self._numbers = numbers
        self._number = number
        self._file = file
        self._linter = linter
        self._done: list[tuple[Import, Sequence[Command]]] = []

    def run(self) -> Stage:
        stage = self._stages[self._number]
        commands = [found for command in stage.commands for found in self._replaced(command)]
        return attrs.evolve(stage, commands=tuple(commands))

    def _replaced(self, command: Command) -> Sequence[Command]:
        number = self._numbers.get(command.name.lower()) if isinstance(command, Import) else None
        if not isinstance(command, Import) or number is None:
            return (command,)
        self._check(command, number)
        found = imported(self._stages[number].exports, command, self._file)
        self._look_at(command, found)
        return found

    def _check(self, command: Import, number: int) -> None:
        if number < self._number:
            return
        stage = self._stages[self._number]
        places = command.lines.locations(self._file)
        if number == self._number or self._number in self._imports_below(number):
            raise FrontendError(f"circular dependency detected on stage: {stage.name}", locations=places)
        raise FrontendError(
            f'cannot import from stage "{command.name}", it needs to be defined before current stage "{stage.name}"',
            locations=places,
            hint="move it up",
        )

    def _imports_below(self, number: int) -> set[int]:
        """The stages that a stage imports from, directly or not."""
        found: set[int] = set()
        stack = [number]
        while stack:
            commands = self._stages[stack.pop()].commands
            names = [command.name.lower() for command in commands if isinstance(command, Import)]
            new = {self._numbers[name] for name in names if name in self._numbers} - found
            found |= new
            stack += new
        return found

    def _look_at(self, command: Import, found: Sequence[Command]) -> None:
        """Warn about a second import of the same stage, and about what an import overwrites of an earlier one."""
        linter = self._linter.with_comments(command.comments)
        if any(earlier.name == command.name and earlier.env_prefix == command.env_prefix for earlier, _ in self._done):
            linter.warn(extensionrules.IMPORTED_TWICE, command.lines, name=command.name)
        else:
            for earlier, commands in self._done:
                for what in _overwritten(commands, found):
                    linter.warn(
                        extensionrules.IMPORT_OVERWRITES, command.lines, name=command.name, what=what, by=earlier.name
                    )
        self._done.append((command, found))


def imported(exports: Sequence[Export], command: Import, file: str) -> list[Command]:
    """What an IMPORT stands for.

    Args:
        exports: of the stage or image that it names.
        command: the IMPORT; what it stands for points to its lines, too.
        file: what the Dockerfile is called.

    Raises:
        InstructionError: there is nothing to import.
    """
    if not exports:
        raise InstructionError(
            f"stage {command.name} exports nothing",
            locations=command.lines.locations(file),
            hint=f"say there what it offers: EXPORT COPY --from={SELF} /out /out; or use COPY --from={command.name}",
        )
    return [_placed(export.command, command) for export in exports]


def _placed(exported: Command, command: Import) -> Command:
    lines = exported.lines._replace(via=command.lines)
    match exported:
        case Copy() if exported.source_stage == SELF:
            code = exported.code.replace(f"--from={SELF}", f"--from={command.name}", 1)
            return attrs.evolve(exported, lines=lines, code=code, source_stage=command.name)
        case Run():
            flags = tuple(_FROM_SELF.sub(rf"\g<1>{command.name}", flag) for flag in exported.mount_flags)
            code = exported.code
            for written, changed in zip(exported.mount_flags, flags, strict=True):
                code = code.replace(written, changed, 1)
            mounts = tuple(map(source_only, flags))
            return attrs.evolve(exported, lines=lines, code=code, mount_flags=flags, mounts=mounts)
        case Env() if command.env_prefix:
            pairs = tuple(KeyValue(command.env_prefix + p.key, p.value, p.legacy) for p in exported.pairs)
            return attrs.evolve(exported, lines=lines, pairs=pairs)
        case _:
            return attrs.evolve(exported, lines=lines)


def _overwritten(earlier: Sequence[Command], later: Sequence[Command]) -> Iterator[str]:
    """What both write: variables, and absolute paths that are equal or below each other."""
    names = dict.fromkeys(name for name, _ in _variables(earlier))
    for name, value in _variables(later):
        extends = re.search(rf"\$(?:{re.escape(name)}\b|\{{{re.escape(name)}\b)", value)
        if name in names and not extends:
            yield f"variable {name}"
    paths = list(_paths(earlier))
    for path in dict.fromkeys(_paths(later)):
        if any(f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/") for other in paths):
            yield path


def _variables(commands: Sequence[Command]) -> Iterator[tuple[str, str]]:
    for command in commands:
        if isinstance(command, Env):
            yield from ((pair.key, pair.value) for pair in command.pairs)


def _paths(commands: Sequence[Command]) -> Iterator[str]:
    """Where files go, as far as the text tells."""
    for command in commands:
        if not isinstance(command, Transfer) or not command.destination.startswith("/") or "$" in command.destination:
            continue
        destination = posixpath.normpath(command.destination)
        if not command.destination.endswith("/"):
            yield destination
        else:
            yield from (posixpath.join(destination, posixpath.basename(source)) for source in command.sources)


__all__ = ["expand_imports", "imported"]
