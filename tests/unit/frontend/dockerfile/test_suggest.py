import pytest

from pybuild.frontend.dockerfile.suggest import hint, nearest


@pytest.mark.parametrize(
    ("word", "expected"),
    [("RUUN", "RUN"), ("ruun", "run"), ("Ruun", "run"), ("ENTRPOINT", "ENTRYPOINT"), ("xyz", ""), ("run", "")],
)
def test_the_suggestion_is_in_the_case_of_the_word(word: str, expected: str) -> None:
    assert nearest(word, ["RUN", "ENTRYPOINT"], case_sensitive=False) == expected


def test_the_nearest_wins_and_among_equals_the_first() -> None:
    assert nearest("abcd", ["abxy", "abce", "abcf"]) == "abce"
    assert nearest("ABCD", ["abcd"]) == ""


def test_a_hint_is_empty_without_a_near_word() -> None:
    assert hint("cahce", ["cache"]) == " (did you mean cache?)"
    assert hint("cahce", ["bind"]) == ""
