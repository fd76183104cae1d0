import re

import pytest

from pybuild.frontend.dockerfile.csvfields import fields


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a", ["a"]),
        ("a,b=c,", ["a", "b=c", ""]),
        (",", ["", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a""b"', ['a"b']),
        ('"",x', ["", "x"]),
        ('""""', ['"']),
        ("a\n", ["a"]),
        ("a\r\n", ["a"]),
    ],
)
def test_fields(line: str, expected: list[str]) -> None:
    assert fields(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "EOF"),
        ('a"b', 'parse error on line 1, column 2: bare " in non-quoted-field'),
        ('é,a"', 'parse error on line 1, column 5: bare " in non-quoted-field'),
        ('"a', 'parse error on line 1, column 2: extraneous or missing " in quoted-field'),
        ('"a"b', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
        ('x,"a"b"', 'parse error on line 1, column 5: extraneous or missing " in quoted-field'),
    ],
)
def test_wrong_quotes(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fields(line)
