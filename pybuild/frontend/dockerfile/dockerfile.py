"""`parse`: from the bytes of a Dockerfile to its stages."""

from __future__ import annotations

import attrs

from pybuild.errors import FrontendError, InstructionError
from pybuild.frontend.dockerfile import gotext, rules
from pybuild.frontend.dockerfile.instructions import Arg, Command, Dockerfile, From, Stage
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.nodes import Node, Tree, parse_nodes
from pybuild.frontend.dockerfile.typed import parse_instruction

_RESERVED = frozenset({"context", "scratch"})


def parse(data: bytes, *, file: str = "Dockerfile", linter: Linter | None = None) -> Dockerfile:
    r"""The stages of a Dockerfile.

    Args:
        data: the file.
        file: what to call it in locations.
        linter: where warnings go; none are made without it. `Linter.for_dockerfile(data)` obeys its directive.

    Raises:
        DockerfileSyntaxError: lines, heredocs or directives are wrong.
        InstructionError: an instruction is unknown or has wrong arguments.
        FrontendError: there is nothing to build.

    Example:
        >>> parse(b"FROM alpine AS base\nRUN make\n").stages[0].commands[0].command.args
        ('make',)
    """
    if not data:
        raise FrontendError("the Dockerfile cannot be empty")
    linter = linter or Linter()
    tree = parse_nodes(data, file)
    for line in tree.empty_continuations:
        linter.warn(rules.NO_EMPTY_CONTINUATION, Lines(line, line))
    parsed = parse_stages(tree, data, file=file, linter=linter)
    if not parsed.stages:
        raise FrontendError("dockerfile contains no stages to build")
    _check_stage_names(parsed, linter)
    _check_casing(parsed, linter)
    return parsed


def parse_stages(tree: Tree, data: bytes, *, file: str, linter: Linter) -> Dockerfile:
    """The stages of a parsed tree, possibly none; only the rules of single instructions are looked at.

    Raises:
        InstructionError: an instruction is unknown, wrong, or stands before the first FROM.
    """
    global_args: list[Arg] = []
    stages: list[tuple[From, list[Command]]] = []
    for node in tree.nodes:
        instruction = _instruction(node, file, linter)
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise InstructionError("no build stage in current context", locations=[node.lines.location(file)])
    return Dockerfile(
        file=file,
        data=data,
        escape=tree.escape,
        global_args=tuple(global_args),
        stages=tuple(_stage(start, tuple(commands)) for start, commands in stages),
    )


def _instruction(node: Node, file: str, linter: Linter) -> Command | From:
    try:
        return parse_instruction(node, linter)
    except InstructionError as error:
        message = f"dockerfile parse error on line {node.lines.first}: {error.message}"
        raise InstructionError(message, locations=[node.lines.location(file)]) from None


def _stage(start: From, commands: tuple[Command, ...]) -> Stage:
    return Stage(**attrs.asdict(start, recurse=False), commands=commands)


def parse_trigger(text: str, *, lines: Lines, file: str = "Dockerfile") -> Command:
    """The command of an ONBUILD trigger, as the config of a base image has it.

    Args:
        text: the instruction.
        lines: of the FROM that brings it; errors and the command point there.
        file: what to call the Dockerfile in locations.

    Raises:
        DockerfileSyntaxError: as `parse`; located in the trigger itself.
        InstructionError: as `parse`, without the line number in the text.
    """
    tree = parse_nodes(text.encode("utf-8", "surrogateescape"), file)
    if len(tree.nodes) != 1:
        raise FrontendError("onbuild trigger should be a single expression")
    node = attrs.evolve(tree.nodes[0], lines=lines)
    try:
        command = parse_instruction(node, Linter())
    except InstructionError as error:
        raise error.at([lines.location(file)]) from None
    if isinstance(command, From):
        raise InstructionError("*instructions.Stage is not a command type", locations=[lines.location(file)])
    return command


def _check_stage_names(parsed: Dockerfile, linter: Linter) -> None:
    seen: set[str] = set()
    for stage in parsed.stages:
        if not stage.name:
            continue
        if stage.name in _RESERVED:
            linter.warn(rules.RESERVED_STAGE_NAME, stage.lines, name=gotext.quote(stage.name))
        if stage.name in seen:
            linter.warn(rules.DUPLICATE_STAGE_NAME, stage.lines, name=gotext.quote(stage.name))
        seen.add(stage.name)


def _check_casing(parsed: Dockerfile, linter: Linter) -> None:
    """All keywords should be in the case that most of them have."""
    instructions = [item for stage in parsed.stages for item in (stage, *stage.commands)]
    keywords = [item.keyword for item in instructions]
    lowered = sum(word == gotext.lower(word) for word in keywords)
    raised = sum(word == gotext.upper(word) != gotext.lower(word) for word in keywords)
    case, name = (gotext.lower, "lowercase") if lowered > raised else (gotext.upper, "uppercase")
    for item in instructions:
        if item.keyword != case(item.keyword):
            linter.warn(rules.CONSISTENT_INSTRUCTION_CASING, item.lines, command=item.keyword, casing=name)
