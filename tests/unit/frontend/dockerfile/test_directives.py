import json
from pathlib import Path

import pytest

from pybuild.frontend.dockerfile.directives import Directive, DirectiveReader, detect_syntax, find_directive

VECTORS = Path(__file__).parents[3] / "vectors"
CASES = json.loads((VECTORS / "syntax.json").read_text())


def described(directive: Directive | None) -> dict[str, object]:
    if directive is None:
        return {"ok": False}
    ranges = [list(found) for found in directive.lines.ranges]
    return {"ok": True, "ref": directive.first_word, "cmdline": directive.value, "ranges": ranges}


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["in"]))
def test_syntax_and_check_are_found_as_buildkit_finds_them(case: dict[str, object]) -> None:
    data = str(case["in"]).encode()
    assert described(detect_syntax(data)) == {
        key: case[key] for key in ("ok", "ref", "cmdline", "ranges") if key in case
    }
    check = find_directive("check", data)
    assert (check is not None, check.first_word if check else "") == (
        case.get("check_ok", False),
        case.get("check", ""),
    )


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("#escape=`", "`"),
        ("#\tESCAPE\t=\t` ", "`"),
        ("# escape= a  b ", "a  b"),
        ("# escape=  ", " "),
        ("# escape=", None),
        ("# escape", None),
        ("## escape=`", None),
        (" # escape=`", None),
        ("# es cape=`", None),
    ],
)
def test_a_directive_is_a_key_and_a_value(line: str, value: str | None) -> None:
    directive = DirectiveReader().read(line)
    assert (directive.value if directive else None) == value


def test_nothing_counts_after_the_first_other_line() -> None:
    reader = DirectiveReader()
    assert reader.read("# a comment") is None
    assert reader.read("# escape=`") is None


def test_a_value_of_many_blanks_takes_no_time() -> None:
    assert find_directive("check", b"# check=a" + b" " * 60_000 + b"b") is not None


def test_deep_json_is_no_syntax() -> None:
    assert detect_syntax(b'{"a":' * 100_000) is None
