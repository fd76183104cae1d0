"""`pybuild graph --diff` as people call it: formats, files, wrong flags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybuild.cli.main import main
from tests.unit.cli.review.repo import Repo


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    made = Repo(tmp_path / "repo")
    made.git("checkout", "-q", "-b", "topic")
    made.commit(made.edit("pytest -q", "pytest -x"))
    monkeypatch.chdir(made.path)
    return made


def test_text_is_the_default(repo: Repo, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["graph", "--diff", "main..topic"]) == 0
    text = capsysbinary.readouterr().out.decode()
    short = [repo.git("rev-parse", name)[:10] for name in ("main", "topic")]
    assert text.splitlines()[:2] == [
        f"app: main ({short[0]}) → topic ({short[1]})",
        "1 changed, 3 invalidated, 6 unchanged",
    ]
    assert "- pytest -q\n" in text
    assert "+ pytest -x\n" in text


def test_target_and_format(repo: Repo, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["graph", "--diff", "main..topic", "deps", "--format", "json"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    assert (document["target"], document["different"]) == ("deps", False)


def test_suffixes_decide(repo: Repo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix, start in (("md", "<!-- pybuild"), ("json", "{"), ("dot", "digraph"), ("mmd", "flowchart TD")):
        path = tmp_path / f"review.{suffix}"
        assert main(["graph", "--diff", "main..topic", "-o", str(path)]) == 0
        assert path.read_text().startswith(start)
    assert f"1 changed, 3 invalidated, 6 unchanged; wrote {tmp_path}/review.md" in capsys.readouterr().err


def test_a_broken_revision_shows_its_line(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    bad = repo.commit({"Buildfile.py": "x = 1\nnonsense\n"})
    assert main(["graph", "--diff", "main..topic"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        f"error[buildfile]: topic ({bad[:10]}): the Buildfile failed: NameError: name 'nonsense' is not defined"
    )
    assert lines[1].strip() == f"{bad[:10]}:Buildfile.py:2"
    assert ">> 2 | nonsense" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--diff", "nowhere..topic"], 'there is no revision "nowhere"'),
        (["--diff", "main..topic", "-o", "x.doc"], "no known suffix"),
        (["--diff", "main..topic", "-o", "nowhere/x.md"], "cannot write"),
        (["--diff", "main..topic", "app", "--target", "deps"], "two targets"),
        (["--format", "markdown"], "markdown is a format of --diff"),
    ],
)
def test_wrong_flags(repo: Repo, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", *arguments]) == 2
    assert message in capsys.readouterr().err
