"""From bytes to one node per instruction: lines, continuations, comments, directives, heredocs."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from pybuild.errors import DockerfileSyntaxError, FrontendError, InstructionError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.arguments import Statement, parse_statement
from pybuild.frontend.dockerfile.directives import BOM, MAX_LINE, DirectiveReader
from pybuild.frontend.dockerfile.heredoc import Heredoc, heredocs_of
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.values import Value

_WITH_HEREDOCS = frozenset({"add", "copy", "run"})


@attrs.frozen
class Node(Value):
    """One instruction, not yet understood.

    Attributes:
        text: the instruction on one line.
        lines: its lines, heredoc bodies included.
        comments: the comment lines above it.
    """

    statement: Statement
    text: str
    lines: Lines
    comments: tuple[str, ...]
    heredocs: tuple[Heredoc, ...]


@attrs.frozen
class Tree(Value):
    """All nodes of a file; `empty_continuations` has the last line of each instruction with blank lines inside."""

    nodes: tuple[Node, ...]
    escape: str
    empty_continuations: tuple[int, ...]


def parse_nodes(data: bytes, file: str = "Dockerfile", *, extended: bool = False) -> Tree:
    r"""The instructions of a Dockerfile.

    Args:
        data: the file.
        file: what to call it in locations.
        extended: whether the instructions that pybuild adds are known.

    Raises:
        DockerfileSyntaxError: located in `file`.

    Example:
        >>> [node.lines for node in parse_nodes(b"FROM a\nRUN b \\\n  && c\n").nodes]
        [Lines(first=1, last=1, via=None, text=None), Lines(first=2, last=3, via=None, text=None)]
    """
    return _Parser(data, file, extended=extended).parse()


def refused(node: Node, file: str, error: InstructionError) -> InstructionError:
    """An error about one instruction as BuildKit words it, with the place of the instruction.

    Args:
        node: the instruction.
        file: what to call the Dockerfile.
        error: what is wrong.
    """
    message = f"dockerfile parse error on line {node.lines.first}: {error.message}"
    return InstructionError(message, locations=node.lines.locations(file), hint=error.hint)


class _LineSource:
    """The lines with their ends, up to one that is too long."""

    def __init__(self, data: bytes) -> None:
        self.lines = self._read(data)
        self.count = 0
        self.too_long = False

    def _read(self, data: bytes) -> Iterator[str]:
        start = 0
        while start < len(data):
            end = data.find(b"\n", start, start + MAX_LINE) + 1
            if not end:
                if len(data) - start >= MAX_LINE:
                    self.too_long = True
                    return
                end = len(data)
            self.count += 1
            yield gotext.decode(data[start:end])
            start = end


class _Parser:
    def __init__(self, data: bytes, file: str, *, extended: bool) -> None:
        self.source = _LineSource(data.removeprefix(BOM))
        self.marked = int(data.startswith(BOM))
        self.file = file
        self.extended = extended
        self.directives = DirectiveReader()
        self.escape = "\\"
        self.comments: list[str] = []
        self.empty_continuations: list[int] = []

    def parse(self) -> Tree:
        nodes: list[Node] = []
        for line in self.source.lines:
            start = self.source.count
            text, more = self.first_line(line)
            if not text and not more:
                continue
            nodes.append(self.node(self.joined(text) if more else text, start))
            self.comments = []
        # A byte order mark alone is a line.
        end = self.source.count or self.marked
        if not nodes:
            raise self.error("file with no instructions", end)
        if self.source.too_long:
            raise self.error(f"dockerfile line greater than max allowed size of {MAX_LINE - 1}", end)
        return Tree(tuple(nodes), self.escape, tuple(self.empty_continuations))

    def error(self, message: str, first: int, last: int = 0) -> DockerfileSyntaxError:
        return DockerfileSyntaxError(message, locations=[Lines(first, max(first, last)).location(self.file)])

    def first_line(self, line: str) -> tuple[str, bool]:
        """The text of a line that begins an instruction ("" for a comment), and whether it is continued."""
        stripped = line.rstrip("\r\n").lstrip(gotext.SPACE)
        comment = stripped.startswith("#")
        is_directive = not self.directives.done and self.read_directive(stripped)
        if not comment:
            return self.continued(stripped)
        if not is_directive:
            # Only the first character is cut off, so an indented comment keeps its `#`.
            text = gotext.trim_space(line[1:])
            self.comments = [*self.comments, text] if text else []
        return "", False

    def read_directive(self, line: str) -> bool:
        try:
            directive = self.directives.read(line)
        except DockerfileSyntaxError as error:
            raise self.error(error.message, self.source.count - 1) from None
        if directive is not None and directive.name == "escape":
            if directive.value not in {"\\", "`"}:
                message = f"invalid escape token '{directive.value}' does not match ` or \\"
                raise self.error(message, self.source.count - 1)
            self.escape = directive.value
        return directive is not None

    def continued(self, line: str) -> tuple[str, bool]:
        """The line without an escape character at its end, and whether there was one that is not itself escaped."""
        text = line.rstrip(" \t")
        if text.endswith(self.escape) and text[-2:-1] != self.escape:
            return text[:-1], True
        return line, False

    def joined(self, text: str) -> str:
        parts = [text]
        empty = False
        for line in self.source.lines:
            stripped = line.lstrip(gotext.SPACE)
            if stripped.startswith("#"):
                continue
            if not stripped:
                empty = True
                continue
            text, more = self.continued(line.rstrip("\r\n"))
            parts.append(text)
            if not more:
                break
        if empty:
            self.empty_continuations.append(self.source.count)
        return "".join(parts)

    def node(self, text: str, start: int) -> Node:
        try:
            statement = parse_statement(text, self.escape, extended=self.extended)
            heredocs = heredocs_of(text) if "<<" in text and _takes_heredocs(statement) else []
        except FrontendError as error:
            raise self.error(error.message, start, self.source.count) from None
        bodies = tuple(attrs.evolve(heredoc, content=self.body(heredoc, start)) for heredoc in heredocs)
        return Node(statement, text, Lines(start, self.source.count), tuple(self.comments), bodies)

    def body(self, heredoc: Heredoc, start: int) -> str:
        parts: list[str] = []
        for line in self.source.lines:
            candidate = line.rstrip("\r\n")
            if heredoc.chomp:
                candidate = candidate.lstrip("\t")
            if candidate == heredoc.name:
                return "".join(parts)
            parts.append(line)
        raise self.error("unterminated heredoc", start, self.source.count)


def _takes_heredocs(statement: Statement) -> bool:
    if statement.trigger is not None:
        statement = statement.trigger
    return gotext.lower(statement.keyword) in _WITH_HEREDOCS and not statement.is_json
