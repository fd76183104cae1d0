"""Whole files: stages, the rules that look at all of a file, and what BuildKit's own code says of the same files."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pybuild.errors import FrontendError, InstructionError, PybuildError
from pybuild.frontend.dockerfile.dockerfile import parse, parse_trigger
from pybuild.frontend.dockerfile.instructions import Copy, Run
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter

AUTHORED = Path(__file__).parents[3] / "vectors" / "authored"
CASES = sorted(path.name for path in AUTHORED.iterdir())
#: What is found while parsing; lowering finds the rest.
RULES = {
    "StageNameCasing",
    "FromAsCasing",
    "NoEmptyContinuation",
    "ConsistentInstructionCasing",
    "DuplicateStageName",
    "ReservedStageName",
    "MaintainerDeprecated",
    "InvalidDefinitionDescription",
}


def parsed(data: bytes) -> tuple[PybuildError | None, Linter | None]:
    linter = None
    try:
        linter = Linter.for_dockerfile(data)
        parse(data, linter=linter)
    except PybuildError as error:
        return error, linter
    return None, linter


def ranges(error: PybuildError) -> list[list[list[int]]]:
    return [
        [list(found) for first, last in location.all_ranges for found in Lines(first, last).ranges]
        for location in error.locations
    ]


@pytest.mark.parametrize("case", CASES)
def test_errors_and_warnings_are_buildkits(case: str) -> None:
    expected = json.loads((AUTHORED / case / "expected.json").read_text())
    error, linter = parsed((AUTHORED / case / "Dockerfile").read_bytes())
    wanted = expected.get("error", {})
    if error is not None:
        assert (error.message, ranges(error)) == (wanted["message"], wanted.get("locations", []))
    else:
        # Whatever else is wrong is found by lowering.
        assert not wanted.get("message", "").startswith("dockerfile parse error")
    found = [] if linter is None else linter.warnings
    assert Counter((w.rule.name, w.rule.description, w.rule.url, w.message, w.lines.ranges) for w in found) == Counter(
        (w["rule"], w["description"], w["url"], w["message"], tuple(map(tuple, w["ranges"])))
        for w in expected.get("warnings", [])
        if w["rule"] in RULES
    )


def test_stages() -> None:
    dockerfile = parse(b"ARG A=1\nARG B\nFROM --platform=$A x AS One\nRUN a\nFROM one\nCOPY --from=One b c\n")
    assert [arg.definitions[0].name for arg in dockerfile.global_args] == ["A", "B"]
    first, second = dockerfile.stages
    assert (first.base, first.name, first.platform, first.lines) == ("x", "one", "$A", Lines(3, 3))
    assert isinstance(first.commands[0], Run)
    assert (second.base, second.name) == ("one", "")
    assert isinstance(second.commands[0], Copy)


def test_errors_show_the_lines_of_the_file(tmp_path: Path) -> None:
    from pybuild.cli.diagnostics import render

    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\nRUN --mont=x \\\n  y\n")
    with pytest.raises(InstructionError) as caught:
        parse(path.read_bytes(), file=str(path))
    assert list(render(caught.value))[1:] == [
        f"  {path}:2",
        "   1 | FROM a",
        ">> 2 | RUN --mont=x \\",
        "     | ^^^^^^^^^^^^^^",
        ">> 3 |   y",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the Dockerfile cannot be empty"),
        ("ARG A", "dockerfile contains no stages to build"),
        ("RUN a\nFROM b", "no build stage in current context"),
    ],
)
def test_files_without_stages(text: str, message: str) -> None:
    with pytest.raises(FrontendError) as caught:
        parse(text.encode())
    assert caught.value.message == message


def test_triggers_are_located_at_their_from() -> None:
    command = parse_trigger("RUN <<A\nx\nA", lines=Lines(7, 8))
    assert isinstance(command, Run)
    assert (command.lines, command.command.files[0].data) == (Lines(7, 8), "x\n")
    with pytest.raises(InstructionError) as caught:
        parse_trigger("COPY a", lines=Lines(7, 8))
    assert caught.value.message.startswith("COPY requires at least two arguments")
    assert caught.value.locations[0].all_ranges == ((7, 8),)
    with pytest.raises(FrontendError, match="single expression"):
        parse_trigger("RUN a\nRUN b", lines=Lines(1, 1))
