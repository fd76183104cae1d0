"""Flags about all steps and predefined arguments mean the same for a Buildfile and a Dockerfile."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuild.cli.main import main

DOCKERFILE = "FROM scratch\nRUN make\nWORKDIR /x\n"
BUILDFILE = """from pybuild import scratch, target


@target
def app():
    return scratch().run("make").workdir("/x", create=True)
"""
FLAGS = (
    ("--network", "none"),
    ("--add-host", "db:10.0.0.2", "--add-host", "db=::1"),
    ("--ulimit", "nofile=4:5", "--shm-size", "1m", "--cgroup-parent", "/x"),
    ("--build-arg", "HTTP_PROXY=http://p", "--build-arg", "no_proxy=x"),
    ("--build-arg", "SOURCE_DATE_EPOCH=0"),
    ("--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=h"),
)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    return tmp_path


def graph(capsys: pytest.CaptureFixture[str], file: str, *flags: str) -> list[str]:
    assert main(["llb", "-f", file, "--format", "text", *flags]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if "sha256:" in line]


@pytest.mark.parametrize("flags", FLAGS)
def test_same_graph(directory: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]) -> None:
    made = graph(capsys, "Buildfile.py", *flags)
    assert made == graph(capsys, "Dockerfile", *flags)
    assert made != graph(capsys, "Buildfile.py")


def test_the_date_of_the_environment(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dated = graph(capsys, "Buildfile.py", "--build-arg", "SOURCE_DATE_EPOCH=5")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert graph(capsys, "Buildfile.py") == dated == graph(capsys, "Dockerfile")


def test_wrong(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["llb", "-f", "Buildfile.py", "--ulimit", "nofile=5:4"]) != 0
    assert "soft limit must be less" in capsys.readouterr().err
    assert main(["llb", "-f", "Buildfile.py", "--syntax", "pybuild"]) == 2
    assert "--syntax is for Dockerfiles" in capsys.readouterr().err


def test_targets_show_what_is_given(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "Buildfile.py").write_text(BUILDFILE.replace("app()", "app(level: int = 1)"))
    assert main(["targets", "--build-arg", "LEVEL=3"]) == 0
    assert "--arg level=3" in capsys.readouterr().out
    assert main(["targets", "--arg", "level=high"]) != 0
    assert 'level="high" is not a whole number' in capsys.readouterr().err


def test_targets_of_a_file_that_an_argument_names(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "Main").write_text("# syntax=pybuild\nARG WHICH\nINCLUDE $WHICH\nFROM scratch AS last\n")
    (directory / "part").write_text("FROM scratch AS lib\n")
    assert main(["targets", "-f", "Main", "--build-arg", "WHICH=part"]) == 0
    assert "lib\n" in capsys.readouterr().out
    assert main(["targets", "-f", "Main"]) != 0
    assert "Main:3" in capsys.readouterr().err


def test_options_are_written_out(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--add-host", "a:1.2.3.4", "--add-host", "a:5.6.7.8", "--network", "none", "--build-arg", "VERSION=2"]
    (directory / "Dockerfile").write_text("ARG VERSION=1\nFROM scratch\nARG VERSION\nRUN make $VERSION\n")
    made = graph(capsys, "Dockerfile", *flags)
    assert main(["convert", "--force", *flags]) == 0
    text = (directory / "Buildfile.py").read_text()
    assert 'OPTIONS = BuildOptions(network="none", hosts={"a": ["1.2.3.4", "5.6.7.8"]})' in text
    assert 'def app(version: str = "2") -> State:' in text
    assert graph(capsys, "Buildfile.py") == made
