"""`parse`: from the bytes of a Dockerfile to its stages."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pybuild.errors import DockerfileSyntaxError, FrontendError, InstructionError
from pybuild.frontend.dockerfile import gotext, rules
from pybuild.frontend.dockerfile.arguments import EXTENSIONS
from pybuild.frontend.dockerfile.dialect import PLAIN, Dialect
from pybuild.frontend.dockerfile.extensions import check_no_self, check_trigger, parse_exported, parse_extension
from pybuild.frontend.dockerfile.imports import expand_imports
from pybuild.frontend.dockerfile.includes import Includer, Library
from pybuild.frontend.dockerfile.instructions import Arg, Command, Dockerfile, Export, From, Onbuild, Stage
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.nodes import Node, Tree, parse_nodes, refused
from pybuild.frontend.dockerfile.typed import parse_instruction

_RESERVED = frozenset({"context", "scratch"})


def parse(
    data: bytes,
    *,
    file: str = "Dockerfile",
    linter: Linter | None = None,
    dialect: Dialect = PLAIN,
    library: Library | None = None,
) -> Dockerfile:
    r"""The stages of a Dockerfile.

    Args:
        data: the file.
        file: what to call it in locations.
        linter: where warnings go; none are made without it. `Linter.for_dockerfile(data)` obeys its directive.
        dialect: which instructions there are. IMPORT of a stage is replaced by what it stands for.
        library: where INCLUDE reads from.

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
    tree = parse_nodes(data, file, extended=dialect.extended)
    for line in tree.empty_continuations:
        linter.warn(rules.NO_EMPTY_CONTINUATION, Lines(line, line))
    parsed = parse_stages(tree, data, file=file, linter=linter, dialect=dialect, library=library)
    if not parsed.stages:
        raise FrontendError("dockerfile contains no stages to build")
    _check_stage_names(parsed, linter)
    _check_casing(tree, linter)
    return attrs.evolve(parsed, stages=expand_imports(parsed.stages, file=file, linter=linter))


def parse_stages(
    tree: Tree,
    data: bytes,
    *,
    file: str,
    linter: Linter,
    dialect: Dialect = PLAIN,
    library: Library | None = None,
) -> Dockerfile:
    """The stages of a parsed tree, possibly none, as they are written; only single instructions are looked at.

    Raises:
        InstructionError: an instruction is unknown, wrong, or stands before the first FROM.
        FrontendError: what is included cannot be read.
    """
    global_args: list[Arg] = []
    stages: list[tuple[From, list[Command | Export]]] = []
    current: list[Command | Export] | None = None
    for node in Includer(tree, file, library, linter).nodes() if dialect.extended else tree.nodes:
        instruction = None if node is None else _instruction(node, file, linter, dialect)
        if instruction is None:
            current = None
        elif isinstance(instruction, From):
            current = []
            stages.append((instruction, current))
        elif current is not None:
            current.append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise InstructionError("no build stage in current context", locations=instruction.lines.locations(file))
    return Dockerfile(
        file=file,
        data=data,
        escape=tree.escape,
        global_args=tuple(global_args),
        stages=tuple(_stage(start, commands) for start, commands in stages),
    )


def _instruction(node: Node, file: str, linter: Linter, dialect: Dialect) -> Command | From | Export:
    try:
        return _extended(node, linter, dialect) if dialect.extended else parse_instruction(node, linter)
    except InstructionError as error:
        raise refused(node, file, error) from None


def _extended(node: Node, linter: Linter, dialect: Dialect) -> Command | From | Export:
    """An instruction of a file in which ours are known."""
    if gotext.lower(node.statement.keyword) in EXTENSIONS:
        return parse_extension(node, linter)
    instruction = parse_instruction(node, linter, dialect.keywords)
    if isinstance(instruction, Onbuild):
        check_trigger(node)
    elif not isinstance(instruction, From):
        check_no_self(instruction)
    return instruction


def _stage(start: From, instructions: Sequence[Command | Export]) -> Stage:
    commands: list[Command] = []
    for instruction in instructions:
        if not isinstance(instruction, Export):
            commands.append(instruction)
        elif instruction.apply:
            commands.append(instruction.command)
    exports = tuple(instruction for instruction in instructions if isinstance(instruction, Export))
    return Stage(**attrs.asdict(start, recurse=False), commands=tuple(commands), exports=exports)


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


def parse_export(text: str, lines: Lines, *, file: str = "Dockerfile") -> Export:
    """An export, as the config of an image has it.

    Args:
        text: the instruction.
        lines: of the IMPORT that brings it; errors point there.
        file: what to call the Dockerfile in locations.

    Raises:
        FrontendError: the image exports what is no instruction, or none that can be exported.
    """
    try:
        (node,) = parse_nodes(text.encode("utf-8", "surrogateescape"), file, extended=True).nodes
        command = parse_exported(node.text, attrs.evolve(node, lines=lines))
    except (InstructionError, DockerfileSyntaxError, ValueError) as error:
        raise FrontendError(f"invalid export {gotext.quote(text)}: {error}", locations=lines.locations(file)) from None
    return Export(keyword="EXPORT", code=f"EXPORT {command.code}", lines=lines, command=command, expression=text)


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


def _check_casing(tree: Tree, linter: Linter) -> None:
    """All keywords of a file, from its first FROM on, should be in the case that most of them have."""
    keywords = [gotext.lower(node.statement.keyword) for node in tree.nodes]
    nodes = tree.nodes[keywords.index("from") if "from" in keywords else 0 :]
    written = [node.statement.keyword for node in nodes]
    lowered = sum(word == gotext.lower(word) for word in written)
    raised = sum(word == gotext.upper(word) != gotext.lower(word) for word in written)
    case, name = (gotext.lower, "lowercase") if lowered > raised else (gotext.upper, "uppercase")
    for node in nodes:
        word = node.statement.keyword
        if word != case(word):
            linter.warn(rules.CONSISTENT_INSTRUCTION_CASING, node.lines, command=word, casing=name)
