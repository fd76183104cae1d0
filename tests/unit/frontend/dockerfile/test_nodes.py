import pytest

from pybuild.errors import DockerfileSyntaxError
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.nodes import Node, parse_nodes


def nodes(text: str) -> tuple[Node, ...]:
    return parse_nodes(text.encode("utf-8", "surrogateescape")).nodes


def only(text: str) -> Node:
    (node,) = nodes(text)
    return node


def test_continued_lines_are_one_instruction() -> None:
    node = only("RUN a \\\n  && b \\  \t\n# comment \\\n\tc\n")
    assert (node.text, node.lines) == ("RUN a   && b \tc", Lines(1, 4))


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_line_ends_do_not_matter(end: str) -> None:
    node = only(f"RUN a \\{end or chr(10)}b{end}")
    assert node.text == "RUN a b"


def test_an_escaped_escape_character_continues_nothing() -> None:
    assert [node.text for node in nodes("RUN a \\\\\nRUN b")] == ["RUN a \\\\", "RUN b"]


def test_the_escape_directive_changes_what_continues() -> None:
    tree = parse_nodes(b"# escape=`\nRUN a `\n b\nRUN c \\\n")
    assert tree.escape == "`"
    assert [node.text for node in tree.nodes] == ["RUN a  b", "RUN c \\"]


def test_blank_lines_inside_an_instruction_are_noted_at_its_end() -> None:
    tree = parse_nodes(b"RUN a \\\n\n  \nb\nRUN c\n")
    assert tree.nodes[0].text == "RUN a b"
    assert tree.empty_continuations == (4,)


def test_a_byte_order_mark_is_dropped_and_leading_blanks_too() -> None:
    assert only("\ufeff  FROM a").text == "FROM a"


def test_comments_belong_to_the_instruction_below() -> None:
    first, second, third = nodes("# escape=\\\n# one\n\n#two\nFROM a\n# gone\n#\n # kept\nRUN b\nRUN c")
    assert first.comments == ("one", "two")
    # The first character is dropped, whatever it is.
    assert second.comments == ("# kept",)
    assert third.comments == ()


@pytest.mark.parametrize(
    ("line", "keyword", "flags", "words", "json"),
    [
        ("FROM  a\tAS  b", "FROM", (), ("a", "AS", "b"), False),
        ("from a", "from", (), ("a",), False),
        ("COPY --a=x --b='a b' \"--c\" d", "COPY", ("--a=x", "--b=a b"), ('"--c"', "d"), False),
        ("COPY --a=\\\"b --c\\ d -- --e f", "COPY", ('--a="b', "--c d"), ("--e", "f"), False),
        ("COPY --a", "COPY", ("--a",), (), False),
        ("RUN --mount=target=/é x", "RUN", ("--mount=target=/Ã©",), ("x",), False),
        ('CMD ["a", "b\\u00e9"]', "CMD", (), ("a", "bé"), True),
        ('CMD ["a", ]', "CMD", (), ('["a", ]',), False),
        ("CMD ['a']", "CMD", (), ("['a']",), False),
        ('CMD ["\\ud800", "x"] ', "CMD", (), ("\ufffd", "x"), True),
        ("CMD [1e999]", "CMD", (), ("[1e999]",), False),
        ("CMD [NaN]", "CMD", (), ("[NaN]",), False),
        ("CMD []", "CMD", (), (), True),
        ("RUN  a  b ", "RUN", (), ("a  b",), False),
        ("ADD a  b", "ADD", (), ("a", "b"), False),
        ("ENV a b c", "ENV", (), ("a", "b c", ""), False),
        ("ENV a='b c' d=\"e\\\"f\"", "ENV", (), ("a", "'b c'", "=", "d", '"e\\"f"', "="), False),
        ("ENV a=b\\ c", "ENV", (), ("a", "b\\ c", "="), False),
        ("ENV a=b\u2003c=d\x0be=f", "ENV", (), ("a", "b", "=", "c", "d", "=", "e", "f", "="), False),
        ("ENV a=b\\", "ENV", (), ("a", "b", "="), False),
        ("ARG a b=1 'c d'", "ARG", (), ("a", "b=1", "'c d'"), False),
        ("HEALTHCHECK --retries=3 CMD  a b", "HEALTHCHECK", ("--retries=3",), ("CMD", "a b"), False),
        ('HEALTHCHECK CMD ["a"]', "HEALTHCHECK", (), ("CMD", "a"), True),
        ("HEALTHCHECK", "HEALTHCHECK", (), (), False),
        ("NOSUCH --x 'y", "NOSUCH", ("--x",), (), False),
        ("WORKDIR a b", "WORKDIR", (), ("a b",), False),
        ("LABEL a=\udcff b", "LABEL", (), None, False),
    ],
)  # fmt: skip
def test_a_line_is_taken_apart(
    line: str, keyword: str, flags: tuple[str, ...], words: tuple[str, ...] | None, json: bool
) -> None:
    if words is None:
        with pytest.raises(DockerfileSyntaxError, match="can't find = in"):
            only(line)
        return
    statement = only(line).statement
    assert (statement.keyword, statement.flags, statement.arguments.words, statement.is_json) == (
        keyword,
        flags,
        words,
        json,
    )


def test_a_trigger_is_an_instruction_of_its_own() -> None:
    trigger = only("ONBUILD --x COPY --link a b").statement.trigger
    assert trigger is not None
    assert (trigger.keyword, trigger.flags, trigger.arguments.words) == ("COPY", ("--link",), ("a", "b"))
    assert only("ONBUILD").statement.trigger is None
    assert only("ONBUILD " * 8_000 + "RUN x").statement.trigger is not None


def test_heredocs_follow_their_instruction() -> None:
    text = "COPY <<A <<-'B' 4<<\"C D\" /x\na $x\nA\n\tb\n\tB\nC D\nRUN x\n"
    copy, run = nodes(text)
    assert [(doc.name, doc.content, doc.expand, doc.chomp) for doc in copy.heredocs] == [
        ("A", "a $x\n", True, False),
        ("B", "\tb\n", False, True),
        ("C D", "", False, False),
    ]
    assert copy.lines == Lines(1, 6)
    assert run.text == "RUN x"


def test_heredoc_bodies_keep_their_line_ends_and_comments() -> None:
    assert only("RUN <<EOF\r\n# a\r\n\r\nb \\\r\nEOF\r\n").heredocs[0].content == "# a\r\n\r\nb \\\r\n"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("RUN cat <<A 3<<B", ["A", "B"]),
        ("RUN cat << A", ["A"]),
        ("RUN cat <<A<<B", []),
        ("RUN cat <<", []),
        ("RUN cat <<<A", []),
        ("RUN x<<A", []),
        ("RUN '<<A'", []),
        ('RUN "it\'s" <<A', ["A"]),
        ("RUN it's <<A", []),
        ("RUN <<$A", ["$A"]),
        ('RUN ["<<A"]', []),
        ("CMD <<A", []),
        ("ONBUILD RUN <<A", ["A"]),
        ("ONBUILD CMD <<A", []),
    ],
)
def test_which_words_announce_heredocs(line: str, names: list[str]) -> None:
    body = "".join(f"{name}\n" for name in names)
    assert [doc.name for doc in nodes(f"{line}\n{body}")[0].heredocs] == names


@pytest.mark.parametrize(
    ("text", "message", "lines"),
    [
        ("", "file with no instructions", (0, 0)),
        ("# a\n\n# b\n", "file with no instructions", (3, 3)),
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\", (0, 0)),
        ("# escape=`\n# Escape=`\nFROM a", "only one escape parser directive can be used", (1, 1)),
        ("FROM a\nRUN <<A\nb\n", "unterminated heredoc", (2, 3)),
        ("FROM a\nENV \\\n  x\n", "ENV must have two arguments", (2, 3)),
        ("FROM a\nCMD [1]\n", "when using JSON array syntax, arrays must be comprised of strings only", (2, 2)),
        ("FROM a\nONBUILD ENV x", "ENV must have two arguments", (2, 2)),
        ("FROM a\n# " + "x" * 65_535, "dockerfile line greater than max allowed size of 65535", (1, 1)),
        ("FROM a \\\n" + "x" * 65_536 + "\nRUN b", "dockerfile line greater than max allowed size of 65535", (1, 1)),
        ("RUN <<A\n" + "x" * 65_536 + "\nA", "unterminated heredoc", (1, 1)),
    ],
)
def test_errors_are_where_buildkit_puts_them(text: str, message: str, lines: tuple[int, int]) -> None:
    with pytest.raises(DockerfileSyntaxError) as caught:
        nodes(text)
    assert caught.value.message == message
    assert [location.all_ranges for location in caught.value.locations] == [(lines,)]


@pytest.mark.parametrize(("length", "fits"), [(65_535, True), (65_536, False)])
@pytest.mark.parametrize("end", ["\n", ""])
def test_the_longest_line(length: int, fits: bool, end: str) -> None:
    """The limit counts the line's end."""
    line = "RUN " + "x" * (length - 4) + end
    if fits:
        assert len(only(line).text) == length
    else:
        with pytest.raises(DockerfileSyntaxError):
            nodes(line)
