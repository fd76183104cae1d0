import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybuild.frontend.dockerfile.shellpattern import Pattern

TEXT = st.text("ab\n", max_size=12)


def expression(pattern: str, *, greedy: bool) -> re.Pattern[str]:
    star = ".*" if greedy else ".*?"
    return re.compile("".join({"*": star, "?": "."}.get(char, re.escape(char)) for char in pattern))


@given(st.text("ab*?\n", max_size=6), TEXT, st.booleans())
def test_a_pattern_matches_what_its_regular_expression_matches(pattern: str, value: str, greedy: bool) -> None:
    expected = expression(pattern, greedy=greedy).search(value)
    assert Pattern(pattern, greedy=greedy).find(value) == (expected.span() if expected else None)
    anchored = expression(pattern, greedy=greedy).match(value)
    assert Pattern(pattern, greedy=greedy).match(value) == (anchored.end() if anchored else None)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [(r"\*\?\\", r"*?\x"), (r"a\}b\/", "a}b/"), ("(()[]{}^$.|+", "(()[]{}^$.|+"), ("\ufeffa", "a")],
)
def test_escapes_and_ordinary_characters(pattern: str, value: str) -> None:
    assert Pattern(pattern, greedy=True).match(value) is not None


@pytest.mark.parametrize("pattern", ["\\", r"\x", r"\\\\\ ".strip()])
def test_a_needless_escape_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="invalid escape"):
        Pattern(pattern, greedy=True)
