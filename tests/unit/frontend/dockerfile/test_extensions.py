"""EXPORT and IMPORT as instructions."""

import pytest

from pybuild.errors import FrontendError, InstructionError
from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.dockerfile import parse, parse_export
from pybuild.frontend.dockerfile.instructions import Copy, Dockerfile, Env, Import, Run
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter

EXTENDED = Dialect(extended=True)


def extended(text: str, linter: Linter | None = None) -> Dockerfile:
    return parse(text.encode(), dialect=EXTENDED, linter=linter)


def refused(text: str) -> InstructionError:
    with pytest.raises(InstructionError) as caught:
        extended(text)
    return caught.value


def test_an_export_has_its_instruction_and_its_text() -> None:
    (stage,) = extended("FROM a AS b\nRUN x\n# about it\nexport copy --from=% \\\n  /a /b\nRUN y\n").stages
    (found,) = stage.exports
    assert isinstance(found.command, Copy)
    assert (found.command.source_stage, found.command.sources, found.command.destination) == ("%", ("/a",), "/b")
    assert found.lines == found.command.lines == Lines(4, 5)
    assert (found.comments, found.expression) == (("about it",), "copy --from=%   /a /b")
    assert [command.code for command in stage.commands] == ["RUN x", "RUN y"]


def test_heredocs_of_exports() -> None:
    (stage,) = extended("FROM a AS b\nEXPORT RUN <<E\none\ntwo\nE\nEXPORT COPY <<F /f\nthree\nF\n").stages
    run, copy = (found.command for found in stage.exports)
    assert isinstance(run, Run)
    assert isinstance(copy, Copy)
    assert (run.lines, run.command.files[0].data) == (Lines(2, 5), "one\ntwo\n")
    assert (copy.lines, copy.inline[0].data) == (Lines(6, 8), "three\n")
    again = parse_export(stage.exports[0].expression, Lines(9, 9))
    assert isinstance(again.command, Run)
    assert (again.command.command, again.command.lines) == (run.command, Lines(9, 9))


def test_apply_is_for_the_stage_itself_as_well() -> None:
    (stage,) = extended("FROM a AS b\nEXPORT --apply ENV A=1\nEXPORT --apply=false ENV B=1\n").stages
    assert [type(command) for command in stage.commands] == [Env]
    assert [found.expression for found in stage.exports] == ["ENV A=1", "ENV B=1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("EXPORT", "EXPORT requires at least one argument"),
        ("EXPORT --apply", "EXPORT requires at least one argument"),
        ("EXPORT --aply ENV A=1", "unknown flag: --aply (did you mean apply?)"),
        ("EXPORT FROM x", "FROM cannot be exported"),
        ("EXPORT export ENV A=1", "EXPORT cannot be exported"),
        ("EXPORT ONBUILD RUN x", "ONBUILD cannot be exported"),
        ("EXPORT RUNN x", "unknown instruction: RUNN (did you mean RUN?)"),
        ("EXPORT COPY x", "COPY requires at least two arguments, but only one was provided"),
        ("EXPORT --apply COPY --from=% a b", "EXPORT --apply: a stage cannot read from itself with --from=%"),
        ("COPY --from=% a b", "--from=% has a meaning only behind EXPORT"),
        ("RUN --mount=from=%,target=/x true", "--from=% has a meaning only behind EXPORT"),
        ("ONBUILD EXPORT ENV A=1", "EXPORT isn't allowed as an ONBUILD trigger"),
        ("ONBUILD IMPORT x", "IMPORT isn't allowed as an ONBUILD trigger"),
        ("IMPORT", "IMPORT requires exactly one argument"),
        ("IMPORT x y", "IMPORT requires exactly one argument"),
        ("IMPORT $X", "variable expansion is not supported for IMPORT $X"),
        ("IMPORT 0", "stage 0 cannot be imported by its number"),
        ("IMPORTS x", "unknown instruction: IMPORTS (did you mean IMPORT?)"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    error = refused(f"FROM a AS b\n{text}\n")
    assert error.message.startswith(f"dockerfile parse error on line 2: {message}")
    assert error.locations[0].all_ranges == ((2, 2),)


def test_errors_say_what_to_do() -> None:
    assert "COPY, ADD, ENV" in refused("FROM a\nEXPORT ARG x\n").hint
    assert "name it" in refused("FROM a\nIMPORT 0\n").hint


def test_exports_of_images_are_checked() -> None:
    for text in ("FROM x", "RUN a\nRUN b", "<<", "", "COPY a"):
        with pytest.raises(FrontendError, match="invalid export") as caught:
            parse_export(text, Lines(4, 4))
        assert caught.value.locations[0].all_ranges == ((4, 4),)


def test_imports_of_what_is_no_stage_stay() -> None:
    (stage,) = extended("FROM a\nIMPORT --env-prefix=p_ example.com/b:1\n").stages
    (found,) = stage.commands
    assert isinstance(found, Import)
    assert (found.name, found.env_prefix) == ("example.com/b:1", "p_")


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("COPY a b", True),
        ("COPY --from=% a b", False),
        ("COPY --from=x a b", False),
        ("COPY <<E /b\nE", False),
        ("ADD a b", True),
        ("ADD https://example.com/a b", False),
        ("RUN --mount=target=/x true", True),
        ("RUN --mount=type=cache,target=/x true", False),
        ("RUN --mount=from=%,target=/x true", False),
        ("ENV A=1", False),
    ],
)
def test_exports_that_read_the_importers_context(text: str, warned: bool) -> None:
    linter = Linter()
    extended(f"FROM a AS b\nEXPORT {text}\n", linter)
    assert [(warning.rule.name, warning.lines) for warning in linter.warnings] == [
        ("ExportFromContext", Lines(2, 2 + text.count("\n")))
    ][: int(warned)]


def test_a_comment_silences_a_warning() -> None:
    linter = Linter()
    extended("FROM a AS b\n# check=skip=ExportFromContext\nEXPORT COPY a b\n", linter)
    assert linter.warnings == []


def test_casing_is_that_of_the_keywords_as_written() -> None:
    linter = Linter()
    extended("FROM a AS b\nexport ENV A=1\nFROM c\nIMPORT b\nIMPORT b\n", linter)
    casing = [warning for warning in linter.warnings if warning.rule.name == "ConsistentInstructionCasing"]
    assert [(warning.lines, "'export'" in warning.message) for warning in casing] == [(Lines(2, 2), True)]
