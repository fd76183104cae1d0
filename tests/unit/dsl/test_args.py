"""How the text of `--arg name=value` becomes a value, and how a default is shown as such text."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

from pybuild.dsl.args import REQUIRED, Parameter


class Color(Enum):
    RED = "r"
    BLUE = "b"


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (str, "a,b", "a,b"),
        (int, "3", 3),
        (float, "2", 2.0),
        (bool, "off", False),
        (Path, "a/b", Path("a/b")),
        (Color, "BLUE", Color.BLUE),
        (Color, "blue", Color.BLUE),
        (Color, "b", Color.BLUE),
        (Literal["x", 3], "3", 3),
        (int | None, "none", None),
        (int | str, "3", 3),
        (int | str, "x", "x"),
        (list[str], "a, b", ["a", "b"]),
        (list[int], "", []),
        (Sequence[Color], "red,blue", [Color.RED, Color.BLUE]),
        (tuple[str, ...], "a", ("a",)),
        (tuple[str, int], "a,1", ("a", 1)),
        (list[str] | None, "a,b", ["a", "b"]),
    ],
)
def test_text_becomes_a_value(hint: Any, text: str, value: object) -> None:
    made = Parameter("p", hint, REQUIRED).convert(text)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("hint", "text", "expected"),
    [
        (int, "x", "a whole number"),
        (bool, "maybe", "a truth value"),
        (Color, "green", "one of RED, BLUE"),
        (Literal["x", "y"], "z", "one of x, y"),
        (list[int], "1,x", "a whole number"),
        (tuple[str, int], "a", "2 values separated by commas"),
        (dict[str, str], "a", "dict"),
    ],
)
def test_text_that_stands_for_nothing(hint: Any, text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Parameter("p", hint, REQUIRED).convert(text)


@pytest.mark.parametrize(
    ("hint", "default", "text"),
    [
        (str, "1", "1"),
        (bool, False, "false"),
        (Path, Path("x"), "x"),
        (Color, Color.RED, "RED"),
        (list[int], [1, 2], "1,2"),
        (int | None, None, ""),
        (int, REQUIRED, ""),
    ],
)
def test_a_default_is_shown_as_it_would_be_given(hint: Any, default: object, text: str) -> None:
    parameter = Parameter("p", hint, default)
    assert parameter.default_text == text
    if text:
        assert parameter.convert(text) == default
