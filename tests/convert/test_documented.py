"""The example of docs/convert.md is what `convert` writes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pybuild.cli.main import main
from pybuild.convert import buildfile_text
from pybuild.errors import FrontendError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "convert.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_shows_what_is_written() -> None:
    assert buildfile_text(block("dockerfile").encode()) == block("python")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Dockerfile").write_text(block("dockerfile"))
    assert main(["convert", "--no-lookup", str(tmp_path)]) == 0
    assert (tmp_path / "Buildfile.py").read_text() == block("python")
    assert main(["convert", "--no-lookup", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["convert", "--no-lookup", str(tmp_path), "-o", "-", "--target", "deps"]) == 0
    assert "@target(default=True)\ndef deps(" in capsys.readouterr().out


def test_nothing_is_written_for_a_wrong_dockerfile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine\nRUNN make\n")
    assert main(["convert", "--no-lookup", str(tmp_path)]) == FrontendError.exit_code
    assert "Dockerfile:2" in capsys.readouterr().err
    assert not (tmp_path / "Buildfile.py").exists()


def test_a_mount_of_a_kind_known_later_is_a_text() -> None:
    text = buildfile_text(b"FROM alpine AS a\nFROM a\nARG KIND=bind\nRUN --mount=type=$KIND,from=a,target=/c make\n")
    assert '.mount(mount(f"type={kind},target=/c", source=a()))' in text


def test_names_of_python_are_not_taken() -> None:
    text = buildfile_text(b"FROM alpine AS class\nARG import=1 DIR=x\nRUN a\nFROM class AS image\nRUN b\n")
    compile(text, "Buildfile.py", "exec")
    assert sys.version_info >= (3, 11)
    assert "def class_(import_: str" in text
    assert "def image_(" in text


def test_a_stage_may_be_called_base() -> None:
    text = buildfile_text(b"ARG PARENT\nFROM alpine AS base\nENV A=$B\nFROM base\nENV C=$D\n")
    assert "def base() -> State:" in text
    assert 'parent_2 = image("alpine")' in text
    assert 'parent_2.env(A=parent_2.getenv("B"))' in text


TWO = "RUN first --with=some --words\nRUN second --with=some --more=more-words\n"
ARGUMENTS = "".join(f"ARG {name}_NAME\n" for name in ("FIRST", "SECOND", "THIRD"))
LAID_OUT = {
    'FROM scratch\nHEALTHCHECK --interval=5m --timeout=3s --retries=7 CMD ["curl", "-f", "http://localhost/"]\n': """\
    return scratch().healthcheck(
        ["curl", "-f", "http://localhost/"], interval="5m", timeout="3s", retries=7
    )
""",
    f"FROM scratch AS b\nFROM b\n{TWO}": """\
    return (
        b().run("first --with=some --words").run("second --with=some --more=more-words")
    )
""",
    f"FROM scratch AS b\nFROM b\n{TWO}RUN third\n": """\
    return (
        b()
        .run("first --with=some --words")
        .run("second --with=some --more=more-words")
        .run("third")
    )
""",
    f"FROM scratch AS made\n{ARGUMENTS}RUN a\nFROM scratch\nCOPY --from=made /a/long/path /other\nRUN b\nRUN c\n": """\
        .copy(
            made(
                first_name=first_name, second_name=second_name, third_name=third_name
            ).path("/a/long/path"),
            "/other",
        )
""",
}


@pytest.mark.parametrize("dockerfile", LAID_OUT)
def test_lines_are_broken_as_ruff_breaks_them(dockerfile: str) -> None:
    assert LAID_OUT[dockerfile] in buildfile_text(dockerfile.encode())
