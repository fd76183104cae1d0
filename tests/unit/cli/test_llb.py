"""`pybuild llb`: definitions written and read."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild.llb.definition import Definition
from pybuild.llb.unmarshal import unmarshal
from tests.unit.cli.conftest import Printed

Run = Callable[..., Printed]
BUILDFILE = """\
from pybuild import State, local, scratch, target


@target(default=True)
def app(name: str = "x") -> State:
    return scratch().copy(local("src"), "/src").write(f"/{name}", "text")


@target
def needs_an_image() -> State:
    from pybuild import oci_layout
    return oci_layout("nowhere", "a:b").run("make")
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)


@pytest.fixture
def here(run: Run, project: None) -> Run:
    Path("Buildfile.py").write_text(BUILDFILE)
    return run


def test_a_definition_that_others_can_solve(here: Run, tmp_path: Path) -> None:
    printed = here("llb", "-o", "app.llb", "--arg", "name=y", "--platform", "linux/arm64")
    assert printed.code == 0, printed.err
    assert printed.err.splitlines() == [f"needs: buildctl build --local src={tmp_path}/src", "wrote app.llb"]
    graph = unmarshal(Definition.from_bytes(Path("app.llb").read_bytes()))
    assert [vertex.name for vertex in graph.vertices] == ["local://src", "copy / /src", "mkfile /y"]


def test_the_same_bytes_again_and_in_silence(here: Run) -> None:
    made = [here("llb", "--quiet", "-o", name) for name in ("one", "two")]
    assert [printed.err for printed in made] == ["wrote one\n", "wrote two\n"]
    assert Path("one").read_bytes() == Path("two").read_bytes()


def test_decoding(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    here("llb", "-o", "app.llb")
    text = here("llb", "--decode", "app.llb").out
    assert 'file.actions[0].mkfile.path: "/x"' in text
    assert "Buildfile.py:6" in text
    found = json.loads(here("llb", "--decode", "app.llb", "--format", "json").out)
    assert [list(op["op"])[-1] for op in found["ops"]] == ["source", "file", "file", "inputs"]
    assert text == here("llb", "--format", "text").out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("app.llb").read_bytes())))
    assert here("llb", "--decode", "-").out == text


def test_a_dockerfile_s_definition(here: Run, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "Dockerfile").write_text("FROM scratch\nCOPY a /b\n")
    (tmp_path / "other" / "a").write_text("a")
    text = here("llb", "other", "--format", "text")
    assert text.code == 0, text.err
    assert 'file.actions[0].copy.src: "/a"' in text.out
    assert "Dockerfile:2" in text.out
    assert f"{tmp_path}/other" in text.err


def test_what_is_wrong_is_said_and_nothing_is_written(here: Run) -> None:
    Path("noise").write_bytes(b"\xff\xff")
    for arguments, message in [
        (["--decode", "noise"], "noise is no definition"),
        (["--decode", "nowhere"], 'cannot read "nowhere"'),
        (["app", "--decode", "noise"], "leave the target out"),
        (["-o", "no/such/folder"], 'cannot write "no/such/folder"'),
        (["needs_an_image", "-o", "out"], "nowhere"),
    ]:
        printed = here("llb", *arguments)
        assert printed.code != 0
        assert message in printed.err
        assert printed.out == ""
    assert not Path("out").exists()


def test_nothing_binary_on_a_terminal(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    printed = here("llb")
    assert printed.code == 2
    assert "--format text" in printed.err
