"""An instruction with its words expanded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import attrs

from pybuild.frontend.dockerfile.instructions import (
    Add,
    Arg,
    ArgDefinition,
    Env,
    Instruction,
    KeyValue,
    Label,
    Run,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from pybuild.frontend.dockerfile.mounts import parse_mount

Expander = Callable[[str], str]
AnyInstruction = TypeVar("AnyInstruction", bound=Instruction)


def expanded(instruction: AnyInstruction, expand: Expander) -> AnyInstruction:
    """`instruction` with every word that takes variables expanded, in BuildKit's order; mounts of a RUN are parsed.

    CMD, ENTRYPOINT, HEALTHCHECK, ONBUILD, SHELL, MAINTAINER, EXPOSE and the command of RUN stay as they are.

    Args:
        instruction: as parsed.
        expand: replaces the variables of a word.

    Raises:
        InstructionError: a mount is wrong, or what `expand` raises.

    Example:
        >>> from pybuild.frontend.dockerfile.lines import Lines
        >>> workdir = Workdir(keyword="WORKDIR", code="WORKDIR $A", lines=Lines(2, 2), path="$A")
        >>> expanded(workdir, lambda word: word.replace("$A", "/src")).path
        '/src'
    """
    return _evolved(instruction, _changes(instruction, expand))


def expanded_inline(instruction: AnyInstruction, expand: Expander) -> AnyInstruction:
    """`instruction` with the heredocs of COPY and ADD expanded whose delimiter was not quoted.

    Raises:
        InstructionError: what `expand` raises.
    """
    if not isinstance(instruction, Transfer) or not any(source.expand for source in instruction.inline):
        return instruction
    inline = tuple(
        attrs.evolve(source, data=expand(source.data)) if source.expand else source for source in instruction.inline
    )
    return _evolved(instruction, {"inline": inline})


def _evolved(instruction: AnyInstruction, changes: dict[str, object]) -> AnyInstruction:
    # Each branch of `_changes` names fields of the class that it matched.
    return attrs.evolve(instruction, **cast("dict[str, str]", changes)) if changes else instruction  # type: ignore[arg-type]


def _changes(instruction: Instruction, expand: Expander) -> dict[str, object]:
    match instruction:
        case Transfer():
            return _transfer(instruction, expand)
        case Env() | Label():
            return {"pairs": _pairs(instruction.pairs, expand)}
        case Arg():
            return {"definitions": tuple(_definition(item, expand) for item in instruction.definitions)}
        case Run():
            return {"mounts": tuple(parse_mount(flag, expand) for flag in instruction.mount_flags)}
        case StopSignal():
            return {"signal": expand(instruction.signal)}
        case User():
            return {"user": expand(instruction.user)}
        case Volume():
            return {"volumes": _words(instruction.volumes, expand)}
        case Workdir():
            return {"path": expand(instruction.path)}
        case _:
            return {}


def _words(words: Iterable[str], expand: Expander) -> tuple[str, ...]:
    return tuple(expand(word) for word in words)


def _transfer(transfer: Transfer, expand: Expander) -> dict[str, object]:
    # The order decides which error is reported first.
    changes: dict[str, object] = {"chown": expand(transfer.chown), "chmod": expand(transfer.chmod)}
    if isinstance(transfer, Add):
        changes["checksum"] = expand(transfer.checksum)
    changes["sources"] = _words(transfer.sources, expand)
    changes["destination"] = expand(transfer.destination)
    return changes


def _pairs(pairs: tuple[KeyValue, ...], expand: Expander) -> tuple[KeyValue, ...]:
    return tuple(KeyValue(expand(pair.key), expand(pair.value), pair.legacy) for pair in pairs)


def _definition(definition: ArgDefinition, expand: Expander) -> ArgDefinition:
    name = expand(definition.name)
    value = None if definition.value is None else expand(definition.value)
    return ArgDefinition(name, value, definition.description)


__all__ = ["Expander", "expanded", "expanded_inline"]
