import pytest

from pybuild.frontend.dockerfile.shellwords import MAX_DEPTH, ExpansionError, Lexer

ENV = {"HOME": "/home", "NULL": "", "PATHS": "/a/b/a/c.txt", "KO": "한국어", "DOLLAR": "$0-$0"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        ("he'll'o", "hello"),
        (r"he\'llo", "he'llo"),
        (r'"a\tb\\c\"d\$e"', 'a\\tb\\c"d$e'),
        (r"'a\tb$HOME'", r"a\tb$HOME"),
        ("a\\", "a"),
        ("\ufeffa\ufeffb", "a\ufeffb"),
        ("$HOME.${HOME}x$NONE", "/home./homex"),
        (r"\$HOME \${}", "$HOME ${}"),
        ("$.", "$."),
        ("a$", "a$"),
        ("$1x $?x $-x", "x x x"),
        ("${KO}$KO", "한국어한국어"),
        ("${HOME:-a}${NULL:-a}${NULL-a}${NONE:-a}${NONE-a}", "/homeaaa"),
        ("${HOME:+a}${NULL:+b}${NULL+c}${NONE:+d}${NONE+e}", "ac"),
        ("${HOME:?a}${HOME?a}${NULL?a}", "/home/home"),
        ("${NONE:-${NULL:-$HOME}}", "/home"),
        ("${NONE:-'a}b'}", "a}b"),
        (r"${NONE:-a\}b}", "a}b"),
        ("${PATHS#/*/}|${PATHS##/*/}|${PATHS%/*}|${PATHS%%/*}", "b/a/c.txt|c.txt|/a/b/a|"),
        ("${PATHS#?a}|${PATHS%.???}|${PATHS#none}", "/b/a/c.txt|/a/b/a/c|/a/b/a/c.txt"),
        ("${PATHS/a/X}|${PATHS//a/X}|${PATHS//?.*/}", "/X/b/a/c.txt|/X/b/X/c.txt|/a/b/a/"),
        (r"${PATHS//\//:}", ":a:b:a:c.txt"),
        ("${HOME///.}", "./.h.o.m.e."),
        ("${PATHS//a/$DOLLAR}", "/a-a/b/a-a/c.txt"),
        ("${PATHS/a/$DOLLAR}", "/$0-$0/b/a/c.txt"),
        (r"${PATHS//a/\$\$x}", "/\\$\\/b/\\$\\/c.txt"),
        ("a<b<<EOF", "a<b<<EOF"),
        (r"${KO#??}", "어"),
        ("${KO%어}", "한국"),
    ],
)
def test_words(word: str, expected: str) -> None:
    assert Lexer().word(word, ENV).text == expected


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("'a", "unexpected end of statement while looking for matching single-quote"),
        ('"a', "unexpected end of statement while looking for matching double-quote"),
        ('"a\\"', "unexpected end of statement while looking for matching double-quote"),
        ("${", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${:-a}", "syntax error: bad substitution"),
        ("${A", "unsupported modifier (\ufffd) in substitution"),
        ("${A:", "syntax error: missing '}'"),
        ("${A:=b}", "unsupported modifier (:=) in substitution"),
        ("${A=b}", "unsupported modifier (=) in substitution"),
        ("${A:#b}", "unsupported modifier (:#) in substitution"),
        ("${A-'b}", "syntax error: missing '}'"),
        ("${A?}x", "A: is not allowed to be unset"),
        ("${NULL:?}x", "NULL: is not allowed to be empty"),
        ("${A:?not $HOME}x", "A: not /home"),
        ("${A//}", "syntax error: missing '/' in ${}"),
        ("${A/a/b", "syntax error: missing '}'"),
        (r"${HOME#\x}", r"invalid pattern (\x) in substitution: invalid escape '\x'"),
        (r"${HOME%\.3}", r"invalid pattern (3\.) in substitution: invalid escape '\.'"),
    ],
)
def test_what_is_wrong_with_a_word(word: str, problem: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        Lexer().word(word, ENV)
    quoted = word.replace("\\", "\\\\").replace('"', '\\"')
    assert caught.value.message == f'failed to process "{quoted}": {problem}'


def test_variables_are_known_by_whether_they_are_set() -> None:
    expansion = Lexer().word("$B${HOME:-$C}${A:+$NULL}$B", ENV)
    assert (expansion.matched, expansion.unmatched) == (("HOME", "NULL"), ("B", "C", "A"))
    with pytest.raises(ExpansionError) as caught:
        Lexer().word("$HOME$X'", ENV)
    assert (caught.value.matched, caught.value.unmatched) == (("HOME",), ("X",))


def test_a_backtick_escapes_where_the_dockerfile_says_so() -> None:
    assert Lexer(escape="`").word('`$HOME "`"`a" c:\\x', ENV).text == '$HOME "`a c:\\x'


def test_quotes_of_heredoc_bodies_are_plain() -> None:
    assert Lexer(plain_quotes=True).word('it\'s "$HOME" \\$HOME', ENV).text == 'it\'s "/home" $HOME'


def test_unset_variables_can_be_left_alone() -> None:
    lexer = Lexer(skip_unset=True, raw_quotes=True)
    assert lexer.word("$A ${A} ${A:-'b'} ${A/b/c} '$HOME' \"$HOME\"", ENV).text == (
        "$A ${A} ${A:-'b'} ${A/b/c} '$HOME' \"/home\""
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc", ("a", "b", "c")),
        ("a\u2003b\x1cc", ("a", "b\x1cc")),
        (r"a\ b 'c d' ''", ("a b", "c d")),
        ("$S x${S}y", ("1", "2", "x1", "2y")),
        ('"$S"', ("1  2",)),
        # A quirk that op bytes depend on: what stands before ${..-..} in the same word is lost.
        ("80${NONE:-81}", ("81",)),
    ],
)
def test_splitting(text: str, words: tuple[str, ...]) -> None:
    assert Lexer().words(text, {"S": "1  2"}) == words


def test_nesting_has_a_limit() -> None:
    deep = MAX_DEPTH - 2
    assert Lexer().word("${A:-" * deep + "x" + "}" * deep, {}).text == "x"
    with pytest.raises(ExpansionError, match="nested too deeply|missing"):
        Lexer().word("${A:-" * 50_000 + "}" * 50_000, {})


def test_patterns_never_take_exponential_time() -> None:
    value = "a" * 2_000
    assert Lexer().word("${V//*a*a*a*a*a*a*b/}", {"V": value}).text == value
    assert Lexer().word("${V##*a*a*a*a*a*a*a}", {"V": value}).text == ""


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert Lexer().word("a\udcffb", {}).text == "a\ufffdb"
