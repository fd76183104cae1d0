"""Whatever bytes come in: an answer, or an error that says what is wrong."""

import re
from contextlib import suppress

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybuild.errors import PybuildError
from pybuild.frontend.dockerfile.dialect import PLAIN, Dialect
from pybuild.frontend.dockerfile.directives import detect_syntax
from pybuild.frontend.dockerfile.dockerfile import parse
from pybuild.frontend.dockerfile.expand import expanded, expanded_inline
from pybuild.frontend.dockerfile.includes import Library
from pybuild.frontend.dockerfile.instructions import Dockerfile, Instruction
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.nodes import parse_nodes
from pybuild.frontend.dockerfile.shellwords import Lexer
from pybuild.location import SourceText
from tests.mutate import TOKENS, mutants

ENV = {"A": "a/b a.c", "FOO": "$0 'x", "PATH": "/bin", "E": ""}


#: What has a meaning in the extended language only.
OURS = re.compile(rb"export|import|include|%", re.IGNORECASE)


def included(path: str, context: str) -> SourceText:
    """What INCLUDE finds anywhere: a library, a fragment, or a file that includes another one."""
    texts = (b"FROM b AS lib\nEXPORT ENV A=1\n", b"ARG A\n", b"INCLUDE x\n")
    return SourceText(path, texts[len(path) % len(texts)])


def read(data: bytes) -> Dockerfile | None:
    """Everything that the language does with a file; only its own errors may come out."""
    detect_syntax(data)
    extended = parsed(data, Dialect(extended=True))
    dockerfile = parsed(data, PLAIN)
    for found in (dockerfile, extended):
        for stage in () if found is None else found.stages:
            for command in (stage, *stage.commands):
                expand_all(command, "\\" if found is None else found.escape)
    if dockerfile is not None and not OURS.search(data):
        assert extended == dockerfile  # what is right without extensions means the same with them
    return dockerfile or extended


def parsed(data: bytes, dialect: Dialect) -> Dockerfile | None:
    try:
        return parse(data, linter=Linter.for_dockerfile(data), dialect=dialect, library=Library(included))
    except PybuildError:
        return None


def expand_all(command: Instruction, escape: str) -> None:
    for work in (expanded, expanded_inline):
        with suppress(PybuildError):
            work(command, lambda word: Lexer(escape=escape).word(word, ENV).text)
    with suppress(PybuildError):
        Lexer(escape=escape).words(command.code, ENV)


@pytest.mark.parametrize("seed", range(4))
def test_broken_dockerfiles_never_crash(seed: int) -> None:
    for data in mutants(400, seed):
        read(data)


@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=30).map(b"".join))
def test_noise_never_crashes(data: bytes) -> None:
    read(b"FROM a\nRUN " + data)


@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=30).map(b"".join))
def test_lines_cover_the_file_in_order(data: bytes) -> None:
    """Each instruction's lines lie behind those of the one before, and within the file."""
    try:
        tree = parse_nodes(b"FROM a\n" + data)
    except PybuildError:
        return
    last = 0
    for node in tree.nodes:
        assert last < node.lines.first <= node.lines.last
        last = node.lines.last
    assert last <= data.count(b"\n") + 2


@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=30).map(b"".join))
def test_carriage_returns_change_no_instruction(data: bytes) -> None:
    """A file saved with Windows line ends has the same instructions, apart from heredoc bodies."""
    data = b"FROM a\n" + data.replace(b"\r", b"")
    try:
        expected = parse_nodes(data)
    except PybuildError:
        with pytest.raises(PybuildError):
            parse_nodes(data.replace(b"\n", b"\r\n"))
        return
    found = parse_nodes(data.replace(b"\n", b"\r\n"))
    assert [attrs.evolve(node, heredocs=()) for node in found.nodes] == [
        attrs.evolve(node, heredocs=()) for node in expected.nodes
    ]
