"""A project to run commands in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from pybuild.cli.main import main

BUILDFILE = """\
from pybuild import State, image, scratch, target


@target
def tools(version: str = "3.20") -> State:
    "Compile."
    return image(f"alpine:{version}").run("apk add make")


@target(default=True)
def app(version: str = "1", debug: bool = False, jobs: int = 2) -> State:
    "The image."
    return scratch().copy(tools().path("/bin"), "/bin").write("/version", version)
"""


@attrs.frozen
class Printed:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Printed]:
    """Runs a command line in a directory with BUILDFILE, on a store of its own."""
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    monkeypatch.delenv("PYBUILD_DEBUG", raising=False)

    def run_command(*arguments: str) -> Printed:
        code = main(arguments)
        captured = capsys.readouterr()
        return Printed(code, captured.out, captured.err)

    return run_command
