"""INCLUDE: the instructions of another file, in its place.

A file without FROM is a fragment: its instructions stand where INCLUDE does. A file with FROM is a library: its stages
are added once, and the stage before them ends there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, final

import attrs

from pybuild.errors import DockerfileSyntaxError, FrontendError, InstructionError
from pybuild.frontend.dockerfile import gotext, rules
from pybuild.frontend.dockerfile.flags import Flags
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.nodes import Node, Tree, parse_nodes, refused
from pybuild.frontend.dockerfile.shellwords import ExpansionError, Lexer
from pybuild.location import SourceText
from pybuild.values import Value

MOST: Final = 1000
"""More files are not included: fragments that include each other twice would become any number."""


@attrs.frozen
class Library(Value):
    """Where INCLUDE reads from.

    Attributes:
        read: gives the file of a path in a context: "" for where the Dockerfile is, `context`, or a named one. Raises
            FrontendError: there is none.
        start: the path of the Dockerfile where it is.
        args: the arguments that are always there.
        build_args: those of this build, which win over defaults.
    """

    read: Callable[[str, str], SourceText]
    start: str = "Dockerfile"
    args: Mapping[str, str] = attrs.field(factory=dict[str, str])
    build_args: Mapping[str, str] = attrs.field(factory=dict[str, str])


def directory_library(dockerfile: Path, given: Mapping[str, str] | None = None) -> Library:
    """A library that reads what is beside a Dockerfile, where there is no build; `given` are build arguments."""

    def read(path: str, context: str) -> SourceText:
        try:
            data = None if context else (dockerfile.parent / path).read_bytes()
        except OSError:
            data = None
        if data is None:
            raise FrontendError(f'there is no file "{path}"{f" of {context}" if context else ""} to include')
        return SourceText(path, data, "Dockerfile")

    return Library(read, dockerfile.name, build_args=given or {})


@attrs.frozen
class _Open(Value):
    """A file whose instructions are being read."""

    nodes: Iterator[Node]
    context: str
    path: str
    has_stages: bool = False


@final
class Includer:
    """The instructions of a Dockerfile with those of the files that it includes.

    Args:
        tree: the Dockerfile.
        file: what it is called.
        library: where to read from; None where nothing can be read.
        linter: where warnings go.

    """

    def __init__(self, tree: Tree, file: str, library: Library | None, linter: Linter) -> None:
        self._texts: dict[tuple[str, str], SourceText] = {}
        self._tree = tree
        self._file = file
        self._library = library
        self._linter = linter
        self._lexer = Lexer(escape=tree.escape)
        self._arguments = _Arguments(library or Library(_nothing), self._lexer)
        self._libraries: set[tuple[str, str]] = set()
        self._count = 0

    def nodes(self) -> Iterator[Node | None]:
        """All instructions in order; None where a stage ends because of a library.

        Raises:
            InstructionError: an INCLUDE is wrong.
            FrontendError: there is no such file, or it includes itself.
            DockerfileSyntaxError: a file cannot be read as a Dockerfile.
        """
        start = self._file if self._library is None else self._library.start
        stack = [_Open(iter(self._tree.nodes), "", start, has_stages=False)]
        while stack:
            node = next(stack[-1].nodes, None)
            if node is None:
                if stack.pop().has_stages:
                    self._arguments.end_stage()
                    yield None
            elif gotext.lower(node.statement.keyword) != "include":
                self._arguments.note(node)
                yield node
            else:
                opened = self._opened(node, stack)
                if opened is None:
                    continue
                stack.append(opened)
                if opened.has_stages:
                    self._arguments.end_stage()
                    yield None

    def _opened(self, node: Node, stack: list[_Open]) -> _Open | None:
        """The file that an INCLUDE names; None for a library that is there already."""
        try:
            context, path = self._place(node, stack[-1])
        except InstructionError as error:
            raise refused(node, self._file, error) from None
        places = node.lines.locations(self._file)
        self._count += 1
        if any((context, path) == (file.context, file.path) for file in stack):
            raise FrontendError(f'"{path}" includes itself', locations=places)
        if self._count > MOST:
            raise FrontendError(f"more than {MOST} files are included", locations=places)
        text = self._read(context, path, node)
        tree = self._parsed(text, node)
        has_stages = any(gotext.lower(found.statement.keyword) == "from" for found in tree.nodes)
        if has_stages:
            if (context, path) in self._libraries:
                return None
            self._libraries.add((context, path))
        nodes = [attrs.evolve(found, lines=_inside(found.lines, text, node)) for found in tree.nodes]
        return _Open(iter(nodes), context, path, has_stages)

    def _place(self, node: Node, within: _Open) -> tuple[str, str]:
        flags = Flags(node.statement.flags, {"from": "string"})
        words = node.statement.arguments.words
        if len(words) != 1:
            raise InstructionError(
                "INCLUDE requires exactly one argument", hint="write INCLUDE PATH, a line for each file"
            )
        context = flags.string("from")
        expansion = self._lexer.word(words[0], self._arguments.known)
        missing = next((name for name in expansion.unmatched if _is_needed(name, words[0])), None)
        if missing is not None:
            raise InstructionError(
                f"INCLUDE {words[0]}: there is no value of {missing}",
                hint=f"declare it above: ARG {missing}=DEFAULT; or give it with --build-arg",
            )
        if not expansion.text:
            raise InstructionError("INCLUDE requires exactly one argument", hint="the path is empty")
        base = "" if context else posixpath.dirname(within.path)
        path = posixpath.normpath(posixpath.join("/", base, expansion.text))[1:]
        if f"{posixpath.normpath(posixpath.join(base, expansion.text))}/".startswith("../"):
            raise InstructionError(
                f'INCLUDE cannot read "{expansion.text}", which is outside of the directory of the Dockerfile',
                hint="read it from the build context, INCLUDE --from=context PATH, or a --build-context NAME=PLACE",
            )
        return context or within.context, path

    def _read(self, context: str, path: str, node: Node) -> SourceText:
        known = self._texts.get((context, path))
        if known is not None:
            return known
        if self._library is None:
            raise refused(node, self._file, InstructionError("INCLUDE cannot read files here"))
        try:
            text = self._texts[context, path] = self._library.read(path, context)
        except FrontendError as error:
            raise error.at(node.lines.locations(self._file)) from None
        return text

    def _parsed(self, text: SourceText, node: Node) -> Tree:
        try:
            tree = parse_nodes(text.data, text.filename, extended=True)
        except DockerfileSyntaxError as error:
            lines = [Lines(first, last) for place in error.locations for first, last in place.all_ranges]
            error.locations = tuple(
                place for found in lines for place in _inside(found, text, node).locations(self._file)
            )
            raise
        if tree.escape != self._tree.escape:
            raise FrontendError(
                f"the escape character of {text.filename} is {tree.escape}, that of the Dockerfile {self._tree.escape}",
                locations=node.lines.locations(self._file),
                hint="begin both with the same # escape= line",
            )
        for line in tree.empty_continuations:
            self._linter.warn(rules.NO_EMPTY_CONTINUATION, _inside(Lines(line, line), text, node))
        return tree


def _is_needed(name: str, word: str) -> bool:
    """Whether a variable is used without saying what stands for it when it is not set."""
    return re.search(rf"\$(?:{name}\b|\{{{name}\}})", word) is not None


def _inside(lines: Lines, text: SourceText, include: Node) -> Lines:
    return Lines(lines.first, lines.last, include.lines, text)


def _nothing(path: str, context: str) -> SourceText:
    raise FrontendError(f'there is no "{path}"')


@final
class _Arguments:
    """The build arguments as far as they are known before anything is looked up: what ARG says, not ENV or bases."""

    def __init__(self, library: Library, lexer: Lexer) -> None:
        self._build_args = library.build_args
        self._lexer = lexer
        self._globals = {name: library.build_args.get(name, value) for name, value in library.args.items()}
        self._stage: dict[str, str] | None = None

    @property
    def known(self) -> Mapping[str, str]:
        """Those that a path may use here."""
        return self._globals if self._stage is None else self._stage

    def end_stage(self) -> None:
        """What follows stands before a FROM again."""
        self._stage = None

    def note(self, node: Node) -> None:
        """Take an instruction into account."""
        keyword = gotext.lower(node.statement.keyword)
        if keyword == "from":
            self._stage = {}
        elif keyword == "arg":
            for word in node.statement.arguments.words:
                with suppress(ExpansionError):  # whoever lowers it says what is wrong
                    self._declare(word)

    def _declare(self, word: str) -> None:
        written, equals, default = word.partition("=")
        known = self._globals if self._stage is None else self._stage
        name = self._lexer.word(written, known).text
        value = self._build_args.get(name)
        if value is None:
            value = self._lexer.word(default, known).text if equals else self._globals.get(name)
        if value is not None:
            known[name] = value


__all__ = ["Includer", "Library", "directory_library"]
