"""Text in messages and histories is quoted as Go's `%q` quotes it."""

import pytest

from pybuild.llb.quoting import quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('say "\\"', r'"say \"\\\""'),
        ("a\tb\n", r'"a\tb\n"'),
        ("\x7f\x1f", r'"\x7f\x1f"'),
        ("\ufeff\xa0\u2028", r'"\ufeff\u00a0\u2028"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("é日\ufffd", '"é日\ufffd"'),
        ("\udcff", r'"\xff"'),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, quoted: str) -> None:
    assert quote(text) == quoted
