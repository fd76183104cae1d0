import pytest

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile import rules
from pybuild.frontend.dockerfile.dockerfile import parse
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter, LintOptions, parse_options


def names(text: str) -> list[str]:
    linter = Linter.for_dockerfile(text.encode())
    parse(text.encode(), linter=linter)
    return [warning.rule.name for warning in linter.warnings]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", LintOptions()),
        ("skip=A, B", LintOptions(skip=frozenset({"A", "B"}))),
        ("skip=all;error=1", LintOptions(skip_all=True, error=True)),
        (" experimental = all ; error=F", LintOptions(experimental_all=True)),
        ("skip=A;skip=B", LintOptions(skip=frozenset({"B"}))),
    ],
)
def test_options(text: str, options: LintOptions) -> None:
    assert parse_options(text) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skip", 'invalid check option "skip"'),
        ("x=y", 'invalid check option "x"'),
        ("skip=A;", 'invalid check option ""'),
        (
            "error=yes",
            'failed to parse check option "error=yes": strconv.ParseBool: parsing "yes": invalid syntax',
        ),
    ],
)
def test_wrong_options(text: str, message: str) -> None:
    with pytest.raises(FrontendError) as caught:
        parse_options(text)
    assert caught.value.message == message


def test_the_directive_and_comments_silence_rules() -> None:
    text = "FROM a AS B\n{}FROM a AS C\n"
    assert names(text.format("")) == ["StageNameCasing"] * 2
    assert names("# check=skip=StageNameCasing\n" + text.format("")) == []
    assert names(text.format("# check=skip=StageNameCasing\n")) == ["StageNameCasing"]
    assert names(text.format("# check=nonsense\n")) == ["StageNameCasing"] * 2


def test_experimental_rules_are_asked_for() -> None:
    text = "# what it is\nFROM a AS b\n"
    assert names(text) == []
    assert names("# check=experimental=InvalidDefinitionDescription\n" + text) == ["InvalidDefinitionDescription"]


def test_warnings_can_be_errors() -> None:
    linter = Linter(parse_options("error=true"))
    assert linter.error() is None
    linter.warn(rules.MAINTAINER_DEPRECATED, Lines(2, 2))
    linter.with_comments(["check=skip=FromAsCasing"]).warn(rules.STAGE_NAME_CASING, Lines(3, 3), name="A")
    linter.warn(rules.STAGE_NAME_CASING, Lines(4, 4), name="A")
    error = linter.error()
    assert error is not None
    assert error.message == "lint violation found for rules: MaintainerDeprecated, StageNameCasing"


def test_the_table_is_complete() -> None:
    assert len(rules.RULES) == len({rule.name for rule in rules.RULES}) == 22
