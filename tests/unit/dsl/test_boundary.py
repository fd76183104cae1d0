"""Argument checks, their texts, and what tracebacks show."""

from __future__ import annotations

import inspect
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import pytest

from pybuild._boundary import called_like, describe, public, trim
from pybuild.errors import ArgumentError, DefinitionError


@public
def sample(
    text: str,
    items: Sequence[str] = (),
    *rest: int,
    mapping: Mapping[str, str] | None = None,
    mode: Literal["a", "b"] = "a",
    number: float = 0.0,
    numbers: Iterable[int] = (),
    function: Callable[[], object] | None = None,
    **extra: int,
) -> str:
    """A function with every kind of parameter."""
    return f"{text}{rest}{extra}"


@public
def failing() -> None:
    raise DefinitionError("no")


def test_good_arguments_pass() -> None:
    assert sample("x", ["a"], 1, 2, mapping={"k": "v"}, mode="b", number=1, numbers={3}, function=print, more=4)
    assert sample("x", ("a",), mapping=None, numbers=(n for n in (1, 2)))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: sample(3), "sample(): text must be str, got int"),
        (lambda: sample("x", "abc"), "sample(): items must be Sequence[str], got the str 'abc'"),
        (lambda: sample("x", ["a", 1]), "sample(): items must be Sequence[str], got list[str or int]"),
        (lambda: sample("x", [], "y"), "sample(): rest must be int, got str"),
        (lambda: sample("x", mode="c"), "sample(): mode must be 'a' or 'b', got 'c'"),
        (
            lambda: sample("x", mapping={"k": 1}),
            "sample(): mapping must be Mapping[str, str] or None, got dict[str, int]",
        ),
        (lambda: sample("x", function=3), "sample(): function must be a function or None, got int"),
        (lambda: sample("x", extra="y"), "sample(): extra must be int, got str"),
        (lambda: sample(), "missing 1 required positional argument: 'text'"),
    ],
)
def test_wrong_arguments(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert text in str(caught.value)
    assert caught.value.locations[0].file == __file__


def test_argument_error_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        sample(3)  # type: ignore[arg-type]


def test_errors_inside_get_the_callers_line_and_one_frame() -> None:
    with pytest.raises(DefinitionError) as caught:
        failing()
    assert caught.value.locations[0].file == __file__
    trim(caught.value)
    assert {frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)} == {__file__}


def test_describe() -> None:
    assert describe(str | Sequence[str] | None) == "str or Sequence[str] or None"


def test_arguments_that_are_passed_on_need_no_typeguard() -> None:
    script = (
        "import sys\nfrom pybuild import image\n"
        "image('a').pipe(lambda state, *names: state, 'one', 'two')\n"
        "print('typeguard' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_two_entrances_with_the_parameters_of_one() -> None:
    def numbers(one: int, *, two: int = 2) -> list[int]:
        return [one, two]

    @called_like(numbers)
    def total(*arguments: Any, **options: Any) -> int:
        return sum(numbers(*arguments, **options))

    assert total(1, two=3) == 4
    assert str(inspect.signature(total)) == "(one: 'int', *, two: 'int' = 2) -> 'int'"
    for wrong in (lambda: total("1"), lambda: total(), lambda: total(1, three=3)):  # type: ignore[arg-type,call-arg]
        with pytest.raises(ArgumentError, match=r"^(test_\S*\.)?.*total\(\)") as caught:
            wrong()
        assert caught.value.locations[0].file == __file__
