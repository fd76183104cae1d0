import attrs
import pytest

from pybuild.frontend.dockerfile.dockerfile import parse
from pybuild.frontend.dockerfile.expand import expanded, expanded_inline
from pybuild.frontend.dockerfile.instructions import Copy, Env, KeyValue, Run
from pybuild.frontend.dockerfile.shellwords import Lexer

ENV = {"A": "1", "B": "/b"}


def expand(word: str) -> str:
    return Lexer().word(word, ENV).text


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("LABEL k=$A", "LABEL k=1"),
        ("ARG $A=$B $A", "ARG 1=/b 1"),
        ("COPY --from=$A --chown=$A --chmod=$A --exclude=$A $A $B/",
         "COPY --from=$A --chown=1 --chmod=1 --exclude=$A 1 /b/"),
        ("ADD --checksum=$A x $B", "ADD --checksum=1 x /b"),
        ("WORKDIR $B/c", "WORKDIR /b/c"),
        ("USER $A", "USER 1"),
        ("VOLUME $A $B", "VOLUME 1 /b"),
        ("STOPSIGNAL $A", "STOPSIGNAL 1"),
        ("CMD $A", "CMD $A"),
        ("EXPOSE $A", "EXPOSE $A"),
        ("HEALTHCHECK CMD $A", "HEALTHCHECK CMD $A"),
        ("ONBUILD ENV A=$A", "ONBUILD ENV A=$A"),
        ('SHELL ["$A"]', 'SHELL ["$A"]'),
    ],
)  # fmt: skip
def test_which_words_take_variables(text: str, same_as: str) -> None:
    (command,) = parse(f"FROM a\n{text}".encode()).stages[0].commands
    (expected,) = parse(f"FROM a\n{same_as}".encode()).stages[0].commands
    assert expanded(command, expand) == attrs.evolve(expected, code=command.code)


def test_pairs_are_expanded() -> None:
    (command,) = parse(b"FROM a\nENV $A=$B x='$A'").stages[0].commands
    assert isinstance(command, Env)
    assert expanded(command, expand).pairs == (KeyValue("1", "/b"), KeyValue("x", "$A"))


def test_mounts_are_complete_after_expansion() -> None:
    (run,) = parse(b"FROM a\nRUN --mount=target=$B,rw $A").stages[0].commands
    assert isinstance(run, Run)
    done = expanded(run, expand)
    assert [(mount.target, mount.readonly) for mount in done.mounts] == [("/b", False)]
    assert done.command == run.command


def test_heredocs_are_expanded_unless_their_delimiter_is_quoted() -> None:
    (copy,) = parse(b"FROM a\nCOPY <<A <<'B' /\n$A\nA\n$A\nB\n").stages[0].commands
    assert isinstance(copy, Copy)
    assert [source.data for source in expanded(copy, expand).inline] == ["$A\n", "$A\n"]
    assert [source.data for source in expanded_inline(copy, expand).inline] == ["1\n", "$A\n"]
