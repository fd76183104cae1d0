"""Shells from programs: in results, in their steps, and in steps that fail; on a terminal and without one."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
from pathlib import Path

import pytest

from pybuild import State, abuild, build, cache, embedded, oci_layout, secret
from pybuild.errors import ArgumentError, EngineUnavailable, ExecError, TargetError
from pybuild.store.store import Store
from tests.embedded.command import environment
from tests.embedded.killing import processes_of
from tests.embedded.terminals import OnTerminal

pytestmark = pytest.mark.engine
TOKEN = {"key": "of-the-test"}


@pytest.fixture
def base(base_layout: Path) -> State:
    return oci_layout(base_layout, "debian:bookworm")


def failing(base: State) -> State:
    mounts = [cache("/cache"), secret("key", env="KEY")]
    return base.env(COLOR="red").workdir("/work").run("echo partial > made; echo words; exit 42", mounts=mounts)


PROGRAM = """\
import asyncio, sys
from pybuild import abuild, build, embedded, oci_layout
from pybuild.errors import ExecError

engine = embedded(sys.argv[1])
base = oci_layout(sys.argv[2], "debian:bookworm").workdir("/work")
broken = base.run("echo partial > made; exit 42")
if sys.argv[3] == "result":
    result = build(base.run("touch made").user("games"), engine=engine, progress="plain")
    print("code", result.shell())
    print("before", result.shell("touch", before=True))
else:
    call = {"build": build, "abuild": lambda *a, **k: asyncio.run(abuild(*a, **k))}[sys.argv[3]]
    try:
        call(broken, engine=engine, progress="plain", on_error="shell")
    except ExecError as error:
        print("then", error.exit_code_of_step)
"""


def program(tmp_path: Path, root: Path, layout: Path, what: str) -> OnTerminal:
    (tmp_path / "program.py").write_text(PROGRAM)
    args = [sys.executable, "program.py", str(root), str(layout), what]
    return OnTerminal(args, cwd=tmp_path, env=environment())


@pytest.mark.parametrize("call", ["build", "abuild"])
def test_where_it_failed(call: str, base_layout: Path, warm_root: Path, tmp_path: Path) -> None:
    with program(tmp_path, warm_root, base_layout, call) as shell:
        shown = shell.expect("root@buildkitsandbox:/work# ")
        assert "program.py:7" in shown, "the line that failed"
        shell.type("cat made; exit 5\r")
        assert shell.ended() == 0
        assert "partial" in shell.text
        assert "then 42" in shell.text
        assert shell.settings() == shell.before
    assert processes_of(warm_root) == []


def test_in_a_result_and_before_a_step(base_layout: Path, warm_root: Path, tmp_path: Path) -> None:
    with program(tmp_path, warm_root, base_layout, "result") as shell:
        assert "in the result" in shell.expect("games@buildkitsandbox:/work$ ")
        shell.type("ls; exit 3\r")
        shell.expect("made")
        shell.expect("code 3")
        shell.expect("root@buildkitsandbox:/work# ")
        shell.type("ls | wc -l; exit\r")
        shell.expect("\n0\n")
        shell.expect("before 0")
        assert shell.ended() == 0
        assert shell.settings() == shell.before


def test_a_look_without_a_terminal(base: State, warm_root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    look = "shell:sh -c 'cat made; pwd; echo $COLOR $KEY; ls -d /cache; exit 5'"
    with pytest.raises(ExecError) as caught:
        build(failing(base), engine=embedded(warm_root), progress="quiet", secrets=TOKEN, on_error=look)
    assert (caught.value.exit_code_of_step, caught.value.log) == (42, b"words\n")
    out, err = capfd.readouterr()
    assert out == "partial\n/work\nred ****\n/cache\n"
    assert err == "", "the error that is raised says it"


def test_a_look_beside_an_event_loop(base: State, warm_root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    making = abuild(
        failing(base), engine=embedded(warm_root), progress="quiet", secrets=TOKEN, on_error="shell:cat made"
    )
    with pytest.raises(ExecError):
        asyncio.run(making)
    assert capfd.readouterr().out == "partial\n"


def test_a_look_where_output_is_text(base: State, warm_root: Path) -> None:
    """As in a notebook, whose streams take no bytes."""
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told), pytest.raises(ExecError):
        build(
            failing(base), engine=embedded(warm_root), progress="quiet", secrets=TOKEN, on_error="shell:printf 'ä\\n'"
        )
    assert said.getvalue() == "ä\n"
    assert told.getvalue() == ""


def test_without_a_terminal_there_is_no_shell(base: State, warm_root: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(EngineUnavailable, match=r"on_error=.shell. needs a terminal") as caught:
        build(base.run(f"echo {marker}"), engine=embedded(warm_root), progress="quiet", on_error="shell")
    assert "shell:ls -l" in caught.value.hint
    assert not [r for r in Store.open(warm_root).cache.records() if str(marker) in r.description], (
        "it was refused first"
    )
    result = build(base, engine=embedded(warm_root), progress="quiet")
    with pytest.raises(EngineUnavailable, match=r"shell\(\) needs a terminal") as caught:
        result.shell()
    assert 'run("COMMAND")' in caught.value.hint


def test_a_command_in_a_step(base: State, warm_root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    step = base.workdir("/work").run("touch made", mounts=[secret("key", "/key")])
    result = build(step.user("games"), engine=embedded(warm_root), progress="quiet", secrets=TOKEN)
    assert result.shell(command="id -un; pwd; ls; test -e /key") == 1
    assert result.shell("touch", command="id -un; ls; wc -c < /key") == 0
    assert result.shell(step, command=["ls"], before=True) == 0
    assert result.shell(result.steps[-1], command="pwd", user="games", workdir="/tmp") == 0
    assert capfd.readouterr().out == "games\n/work\nmade\nroot\nmade\n11\n/tmp\n"
    with pytest.raises(TargetError, match=r'no step "nothing"'):
        result.shell("nothing", command="true")
    with pytest.raises(ArgumentError, match="workdir must be absolute"):
        result.shell(command="true", workdir="here")


@pytest.mark.parametrize("wrong", ["bash", "shell:", "shell:'x", "continue"])
def test_other_forms_are_refused(base: State, warm_root: Path, wrong: str) -> None:
    with pytest.raises(ArgumentError, match=r"on_error"):
        build(base, engine=embedded(warm_root), on_error=wrong)


def test_an_error_tells_of_it(base: State, warm_root: Path) -> None:
    with pytest.raises(ExecError) as caught:
        build(base.run("exit 3"), engine=embedded(warm_root), progress="quiet")
    assert "on_error=" in caught.value.hint
