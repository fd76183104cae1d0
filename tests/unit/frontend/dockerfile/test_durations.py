import re

import pytest

from pybuild.frontend.dockerfile.durations import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("5s", 5 * 10**9),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        (".5s", 500_000_000),
        ("1.s", 10**9),
        ("-1.5h", -5_400 * 10**9),
        ("1µs", 1000),
        ("1μs", 1000),
        ("2562047h47m16.854775807s", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
        ("0.100000000000000000000h", 360 * 10**9),
        ("39h9m14.425s", 140_954_425_000_000),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("3", 'time: missing unit in duration "3"'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".", 'time: invalid duration "."'),
        ("-.", 'time: invalid duration "-."'),
        (".s", 'time: invalid duration ".s"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1s 2s", 'time: unknown unit "s " in duration "1s 2s"'),
    ],
)
def test_what_is_no_duration(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32", 32),
        ("32b", 32),
        ("32 K", 32 << 10),
        ("32kb", 32 << 10),
        ("32Kib", 32 << 10),
        ("1.5G", 3 << 29),
        ("0.3", 0),
        ("1e3", 1000),
        ("3TB", 3 << 40),
        ("3p", 3 << 50),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "hello", "-32", "32.3.4", "32mm", "32b3", "32bb", "32m b", " 32", "1_0", "32 mb ", "k"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="^invalid (size|suffix): "):
        parse_size(text)
