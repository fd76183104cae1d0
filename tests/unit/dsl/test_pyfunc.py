"""Python functions as steps: the payload is the same in every process, and the runner runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import State, scratch
from pybuild.errors import ArgumentError
from pybuild.llb.files import MkdirAction, MkfileAction
from pybuild.llb.mounts import BindMount
from pybuild.llb.ops import ExecOp, FileOp

ROOT = Path(__file__).parents[3]

SCRIPT = """
import dataclasses
import enum
import json
import sys

from helper_module import double
from pybuild import scratch

WORDS = {"alpha", "beta", "gamma", "delta", "epsilon"}


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    tags: frozenset = frozenset({"one", "two", "three"})


def closure(limit):
    def inside(value):
        return value in {"p", "q", "r", "s"} and limit
    return inside


def work(point, check, *, names=frozenset({"n1", "n2", "n3"})):
    import os.path
    print(json.dumps([point.x, sorted(point.tags), Color.RED.value, sorted(WORDS), sorted(names)]))
    print(check("p"), double(4), os.path.basename("/a/b"))
    if point.x > 1:
        raise ValueError("too far")


state = scratch().call(work, Point(int(sys.argv[1])), closure(7))
if __name__ == "__main__":
    print(state.digest)
"""


def write_files(state: State, directory: Path) -> None:
    """Put what the step mounts at /dev/pybuild into `directory`."""
    for vertex in state.graph().vertices:
        if isinstance(vertex.op, FileOp):
            for action in vertex.op.actions:
                if isinstance(action, MkdirAction):
                    (directory / action.path[1:]).mkdir()
                elif isinstance(action, MkfileAction):
                    (directory / action.path[1:]).write_bytes(action.data)


def payload(state: State) -> bytes:
    for vertex in state.graph().vertices:
        if isinstance(vertex.op, FileOp):
            for action in vertex.op.actions:
                if isinstance(action, MkfileAction) and action.path == "/payload":
                    return action.data
    raise AssertionError("no payload")


def run_payload(state: State, directory: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    write_files(state, directory)
    return subprocess.run(
        [python, "-I", "-S", "-B", str(directory / "run.py")], capture_output=True, text=True, check=False, cwd="/"
    )


def digest_in_process(directory: Path, seed: str, argument: str = "1") -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}"}
    done = subprocess.run(
        [sys.executable, str(directory / "script.py"), argument],
        env=environment, capture_output=True, text=True, check=True, cwd=directory,
    )  # fmt: skip
    return done.stdout.strip()


def make_script(directory: Path, text: str = SCRIPT) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "script.py").write_text(text)
    (directory / "helper_module.py").write_text("FACTOR = 2\n\n\ndef double(value):\n    return FACTOR * value\n")


def test_same_digest_whatever_the_hash_seed_and_place(tmp_path: Path) -> None:
    make_script(tmp_path / "one")
    make_script(tmp_path / "two", "# a comment above moves every line\n\n" + SCRIPT)
    digests = [digest_in_process(tmp_path / "one", seed) for seed in ("1", "2", "77")]
    digests.append(digest_in_process(tmp_path / "two", "3"))
    assert len(set(digests)) == 1
    assert digest_in_process(tmp_path / "one", "1", "2") != digests[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [("too far", "too near"), ("closure(7)", "closure(8)"), ('"epsilon"', '"zeta"'), ('BLUE = "blue"', 'BLUE = "b"')],
)
def test_what_the_function_uses_is_part_of_the_key(tmp_path: Path, old: str, new: str) -> None:
    make_script(tmp_path / "one")
    make_script(tmp_path / "two", SCRIPT.replace(old, new))
    assert digest_in_process(tmp_path / "one", "1") != digest_in_process(tmp_path / "two", "1")


def load_script(directory: Path, monkeypatch: pytest.MonkeyPatch, argument: str) -> State:
    make_script(directory)
    monkeypatch.syspath_prepend(str(directory))
    monkeypatch.setattr(sys, "argv", ["script.py", argument])
    monkeypatch.chdir(directory)
    for name in ("script", "helper_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import script  # type: ignore[import-not-found]  # written by the test

    monkeypatch.delitem(sys.modules, "script")
    monkeypatch.delitem(sys.modules, "helper_module")
    state = script.state
    assert isinstance(state, State)
    return state


def test_the_runner_runs_it_without_anything_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = load_script(tmp_path / "src", monkeypatch, "1")
    (tmp_path / "dev").mkdir()
    done = run_payload(state, tmp_path / "dev")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        '[1, ["one", "three", "two"], "red", ["alpha", "beta", "delta", "epsilon", "gamma"], ["n1", "n2", "n3"]]\n'
        "7 8 b\n"
    )


def test_an_exception_shows_the_users_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = load_script(tmp_path / "src", monkeypatch, "2")
    (tmp_path / "dev").mkdir()
    done = run_payload(state, tmp_path / "dev")
    assert done.returncode == 1
    assert done.stderr == textwrap.dedent("""\
        Traceback (most recent call last):
          File "<work>", line 6, in work
            raise ValueError("too far")
        ValueError: too far
        """)


def test_other_python_versions_are_told(tmp_path: Path) -> None:
    state = scratch().call(print, "x")
    major, minor = sys.version_info[:2]
    header = payload(state)
    (tmp_path / "dev").mkdir()
    write_files(state, tmp_path / "dev")
    (tmp_path / "dev" / "payload").write_bytes(header.replace(bytes([75, minor]), bytes([75, minor + 1]), 1))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "dev" / "run.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 126
    assert done.stderr.startswith(
        f"call(print) was defined with cpython {major}.{minor + 1}, but this image has cpython {major}.{minor}\n"
    )


def test_the_step(tmp_path: Path) -> None:
    state = scratch().call(print, "x", file=None)
    assert state.head is not None
    op = state.head.vertex.op
    assert isinstance(op, ExecOp)
    assert state.head.vertex.name == "call print"
    assert op.mounts[1] == BindMount(target="/dev/pybuild", input=0, readonly=True)
    assert op.meta.inherit is not None
    assert not op.meta.inherit.shell
    assert op.meta.args[:3] == ("/bin/sh", "/dev/pybuild/call", "print")
    write_files(state, tmp_path)
    line = ["/bin/sh", str(tmp_path / "call"), *op.meta.args[2:]]
    missing = subprocess.run(line, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert missing.returncode == 127
    assert (
        missing.stderr
        == f"call(print) needs Python {sys.version_info[0]}.{sys.version_info[1]}, and this image has no python3\n"
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lambda: BASE.path("/x"), "exists only while the graph is defined"),
        (lambda: lambda: HANDLE.read(), "cannot be sent into the step"),
    ],
)
def test_what_cannot_be_sent(make: Callable[[], Callable[[], object]], text: str) -> None:
    with pytest.raises(ArgumentError, match=text) as caught:
        scratch().call(make())
    assert caught.value.locations[0].file == __file__


BASE = scratch()
HANDLE = subprocess.Popen
HANDLE = iter([os.scandir("/")]).__next__()  # type: ignore[assignment]  # something that cannot be pickled
HANDLE.close()  # type: ignore[attr-defined]
