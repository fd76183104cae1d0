import json

from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile import rules
from pybuild.frontend.dockerfile.calls.check import CheckResult, source_snippet
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter

DATA = b"FROM a AS B\nRUN b\nMAINTAINER c\n"


def result(*, error: bool = False) -> CheckResult:
    linter = Linter()
    linter.warn(rules.MAINTAINER_DEPRECATED, Lines(3, 3))
    linter.warn(rules.STAGE_NAME_CASING, Lines(1, 1), name="B")
    wrong = InstructionError("wrong", locations=[Lines(2, 3).location(), Lines(2, 2).location()])
    return CheckResult("Dockerfile", DATA, tuple(linter.warnings), wrong if error else None)


def test_warnings_are_shown_in_the_order_of_lines() -> None:
    assert result().text() == (
        "Check complete, 2 warnings have been found!\n"
        "\n"
        "WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n"
        "Stage name 'B' should be lowercase\n"
        "Dockerfile:1\n"
        "--------------------\n"
        "   1 | >>> FROM a AS B\n"
        "   2 |     RUN b\n"
        "   3 |     MAINTAINER c\n"
        "--------------------\n"
        "\n"
        "WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/\n"
        "Maintainer instruction is deprecated in favor of using label\n"
        "Dockerfile:3\n"
        "--------------------\n"
        "   1 |     FROM a AS B\n"
        "   2 |     RUN b\n"
        "   3 | >>> MAINTAINER c\n"
        "   4 |     \n"
        "--------------------\n"
    )


def test_nothing_found() -> None:
    clean = CheckResult("Dockerfile", DATA, ())
    assert (clean.text(), clean.error_text(), clean.status) == ("Check complete, no warnings found.\n", "", 0)


def test_an_error_is_shown_with_all_its_lines() -> None:
    broken = CheckResult("Dockerfile", DATA, (), result(error=True).error)
    assert broken.text() == ""
    assert broken.status == 1
    assert broken.error_text() == (
        "wrong\nDockerfile:2\n--------------------\n   1 |     FROM a AS B\n   2 | >>> RUN b\n   3 | >>> MAINTAINER c\n"
        "   4 |     \n--------------------\n"
    )


def test_an_error_without_lines_has_no_snippet() -> None:
    assert CheckResult("Dockerfile", DATA, (), InstructionError("wrong")).error_text() == "wrong\n"


def test_json() -> None:
    document = json.loads(result(error=True).json())
    assert [warning["ruleName"] for warning in document["warnings"]] == ["MaintainerDeprecated", "StageNameCasing"]
    assert document["warnings"][1] == {
        "ruleName": "StageNameCasing",
        "description": "Stage names should be lowercase",
        "url": "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/",
        "detail": "Stage name 'B' should be lowercase",
        "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]},
    }
    assert document["sources"][0]["filename"] == "Dockerfile"
    assert document["buildError"] == {
        "message": "wrong",
        "location": {
            "ranges": [{"start": {"line": 2}, "end": {"line": 2}}, {"start": {"line": 3}, "end": {"line": 3}}]
        },
    }
    assert json.loads(CheckResult("Dockerfile", DATA, ()).json())["warnings"] is None


def test_a_snippet_has_lines_around_it_where_there_are_some() -> None:
    data = "\n".join(f"line {number}" for number in range(1, 12)).encode()
    single = source_snippet("f", data, [Lines(6, 6)]).splitlines()
    assert [line.strip()[:2].strip() for line in single[2:-1]] == ["4", "5", "6", "7", "8"]
    several = source_snippet("f", data, [Lines(5, 5), Lines(7, 7)]).splitlines()
    assert [line[7:10] for line in several[2:-1]] == ["   ", ">>>", "   ", ">>>", "   "]
    assert source_snippet("f", data, [Lines(0, 0)]) == ""
