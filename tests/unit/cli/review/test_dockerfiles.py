"""Comparisons of a repository that has Dockerfiles only."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuild.cli.main import main
from tests.unit.cli.review.repo import Repo

DOCKERFILE = """\
FROM scratch AS files
COPY src/main.py /main.py
WORKDIR /work
FROM files
COPY src/util.py /util.py
CMD ["/main.py"]
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    made = Repo(tmp_path / "repo")
    made.git("checkout", "-q", "-b", "topic")
    made.commit({"docker/Dockerfile": DOCKERFILE})
    made.git("tag", "start")
    monkeypatch.chdir(made.path)
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    return made


def review(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> str:
    code = main(["graph", "-f", "docker/Dockerfile", ".", *arguments])
    printed = capsysbinary.readouterr()
    assert code == 0, printed.err.decode()
    return printed.out.decode()


def test_instructions(repo: Repo, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    changed = DOCKERFILE.replace("/util.py\n", "/other.py\n").replace('CMD ["/main.py"]', 'ENV A=1\nCMD ["/other.py"]')
    repo.commit({"docker/Dockerfile": changed})
    text = review(capsysbinary, "--diff", "start..topic")
    assert "1 changed, 3 unchanged, image config changed" in text
    assert "COPY src/util.py /other.py" in text
    assert "docker/Dockerfile:5" in text
    assert "dest\n         - /util.py\n         + /other.py" in text
    assert "env A\n    + 1" in text
    assert "cmd\n    - /main.py\n    + /other.py" in text


def test_an_instruction_more_renumbers_the_others_which_is_no_change(
    repo: Repo, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    repo.commit({"docker/Dockerfile": DOCKERFILE.replace("CMD", "COPY README.md /\nCMD")})
    text = review(capsysbinary, "--diff", "start..topic")
    assert "\n  + " in text
    assert "WORKDIR" not in text
    assert "image config" not in text


def test_files_of_the_context_and_stages(repo: Repo, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    repo.commit({"src/util.py": "changed", "src/unused.py": "new"})
    text = review(capsysbinary, "--diff", "start..topic")
    assert "M src/util.py" in text
    assert "unused.py" not in text
    assert "no difference" in review(capsysbinary, "--diff", "start..topic", "--target", "files")


def test_a_broken_revision_is_named(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.commit({"docker/Dockerfile": "FROM scratch\nCOPYY a b\n"})
    assert main(["graph", "-f", "docker/Dockerfile", ".", "--diff", "start..topic"]) != 0
    error = capsys.readouterr().err
    assert "topic (" in error
    assert "docker/Dockerfile:2" in error
