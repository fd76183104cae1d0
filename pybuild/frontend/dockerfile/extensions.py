"""EXPORT and IMPORT, which pybuild adds to the language.

A stage says with EXPORT what those that use it need: `EXPORT COPY --from=% /out /out`, `EXPORT ENV A=1`. `IMPORT stage`
stands for these instructions, in their order, in its place; see `imports`. The form is that of the proposal
moby/buildkit#5707.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, cast

import attrs

from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile import extensionrules, gotext
from pybuild.frontend.dockerfile.arguments import EXTENSIONS
from pybuild.frontend.dockerfile.csvfields import fields
from pybuild.frontend.dockerfile.flags import Flags
from pybuild.frontend.dockerfile.instructions import Add, Command, Copy, Export, Import, Run
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.nodes import Node
from pybuild.frontend.dockerfile.typed import common, parse_instruction

SELF: Final = "%"
"""How an exported instruction names the stage that exports it."""
_EXPORT = re.compile(r"[\t\n\f\r ]*EXPORT[\t\n\f\r ]+(?:--\S+[\t\n\f\r ]+)*", re.IGNORECASE)
_NOT_EXPORTED = frozenset({"arg", "from", "maintainer", "onbuild", *EXTENSIONS})
_EXPORTABLE = (
    "exported can be COPY, ADD, ENV, LABEL, RUN, WORKDIR, USER, EXPOSE, VOLUME, CMD, ENTRYPOINT, STOPSIGNAL, "
    "HEALTHCHECK and SHELL"
)


def parse_extension(node: Node, linter: Linter) -> Export | Import:
    """The instruction of a node that is an EXPORT or IMPORT; INCLUDE is gone before, see `includes`.

    Raises:
        InstructionError: without a location.
    """
    linter = linter.with_comments(node.comments)
    return _export(node, linter) if gotext.lower(node.statement.keyword) == "export" else _import(node)


def parse_exported(text: str, node: Node) -> Command:
    """The command of an export, as the config of an image has it.

    Args:
        text: the instruction.
        node: what `text` was parsed to.

    Raises:
        InstructionError: it cannot be exported.
    """
    keyword = gotext.lower(node.statement.keyword)
    if keyword in _NOT_EXPORTED:
        raise InstructionError(f"{gotext.upper(keyword)} cannot be exported", hint=_EXPORTABLE)
    # What can be exported are commands: FROM is not.
    return cast("Command", parse_instruction(attrs.evolve(node, text=text), Linter()))


def check_trigger(node: Node) -> None:
    """Refuse triggers that BuildKit would refuse in the build that runs them.

    Raises:
        InstructionError: ONBUILD has one of our own instructions behind it.
    """
    trigger = node.statement.trigger
    if trigger is not None and gotext.lower(trigger.keyword) in EXTENSIONS:
        raise InstructionError(f"{gotext.upper(trigger.keyword)} isn't allowed as an ONBUILD trigger")


def check_no_self(command: Command) -> None:
    """Refuse `--from=%` outside of EXPORT.

    Raises:
        InstructionError: without a location.
    """
    if reads_self(command):
        raise InstructionError(
            f"--from={SELF} has a meaning only behind EXPORT",
            hint=f"{SELF} is the stage that exports; elsewhere write the name of a stage",
        )


def reads_self(command: Command) -> bool:
    """Whether an instruction reads from the stage that exports it."""
    if isinstance(command, Copy):
        return command.source_stage == SELF
    return isinstance(command, Run) and any(mount.source_stage == SELF for mount in command.mounts)


def _export(node: Node, linter: Linter) -> Export:
    trigger = node.statement.trigger
    if trigger is None:
        raise InstructionError(
            "EXPORT requires at least one argument",
            hint=f"write an instruction behind it, such as EXPORT COPY --from={SELF} /out /out",
        )
    flags = Flags(node.statement.flags, {"apply": "bool"})
    prefix = _EXPORT.match(node.text)
    expression = node.text[prefix.end() :] if prefix else node.text
    command = parse_exported(expression, attrs.evolve(node, statement=trigger))
    apply = flags.boolean("apply") or False
    if apply and reads_self(command):
        raise InstructionError(f"EXPORT --apply: a stage cannot read from itself with --from={SELF}")
    if _reads_context(command):
        linter.warn(extensionrules.EXPORT_FROM_CONTEXT, node.lines, command=gotext.upper(command.keyword))
    bodies = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs)
    return Export(**common(node), command=command, expression=expression + bodies, apply=apply)


def _reads_context(command: Command) -> bool:
    """Whether an instruction reads the build context, which is the importing file's."""
    match command:
        case Copy():
            return not command.source_stage and bool(command.sources)
        case Add():
            return any("://" not in source for source in command.sources)
        case Run():
            return any(_binds_context(fields(flag)) for flag in command.mount_flags)
        case _:
            return False


def _binds_context(mount: Iterable[str]) -> bool:
    pairs = {name: value for name, _, value in (field.partition("=") for field in mount)}
    return pairs.get("type", "bind") == "bind" and not pairs.get("from")


def _import(node: Node) -> Import:
    flags = Flags(node.statement.flags, {"env-prefix": "string"})
    words = node.statement.arguments.words
    if len(words) != 1:
        raise InstructionError(
            "IMPORT requires exactly one argument", hint="write IMPORT STAGE, one line for each stage"
        )
    name = words[0]
    if "$" in name:
        raise InstructionError(f"variable expansion is not supported for IMPORT {name}", hint="write the stage's name")
    if name.isdecimal():
        raise InstructionError(f"stage {name} cannot be imported by its number", hint="name it: FROM ... AS NAME")
    return Import(**common(node), name=name, env_prefix=flags.string("env-prefix"))


__all__ = ["SELF", "check_no_self", "check_trigger", "parse_exported", "parse_extension", "reads_self"]
