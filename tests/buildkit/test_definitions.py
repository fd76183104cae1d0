"""What `pybuild llb` writes of every example is solved by a real BuildKit, as it is and by a client of nothing else."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pybuild import State, scratch
from pybuild.engine.buildkit.client import Client, connect
from pybuild.engine.buildkit.export import Export
from pybuild.engine.buildkit.gateway import Gateway, Result, refs_of
from pybuild.llb.definition import Definition

pytestmark = pytest.mark.docker
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/Buildfile.py"))
RESULTS = {"1-files": "srv/title.txt", "2-stages": "data/words.txt.gz", "3-mounts": "token.sha256"}


@pytest.fixture
def client(buildkit: str) -> Iterator[Client]:
    with connect(buildkit) as made:
        yield made


def needs(printed: str) -> tuple[dict[str, str], dict[str, str]]:
    """The directories and the layouts that the command says the definition reads."""
    words = shlex.split(next((line for line in printed.splitlines() if line.startswith("needs: ")), ""))
    pairs = list(pairwise(words))

    def given(flag: str) -> dict[str, str]:
        return {name: path for word, value in pairs if word == flag for name, _, path in [value.partition("=")]}

    return given("--local"), given("--oci-layout")


def capabilities(client: Client) -> frozenset[str]:
    """What definitions may use on the engine."""
    found: list[frozenset[str]] = []

    def ask(gateway: Gateway) -> Result:
        found.append(gateway.llb_capabilities)
        return Result(refs={"": refs_of(gateway.solve(scratch().mkdir("/a").definition()))[""]}, metadata={})

    client.build(function=ask)
    return found[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_real_engine_takes_what_is_written(name: str, client: Client, base_layout: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pybuild", "--root", str(tmp_path / "store"), "llb", "-o", str(tmp_path / "llb")]
    environment = {"PATH": "/usr/bin:/bin", "PYBUILD_BASE": str(base_layout), "HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT / "examples" / name, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    directories, layouts = needs(done.stderr)
    if name == "1-files" and "file.symlink.create" not in capabilities(client):
        pytest.skip("this engine cannot make symbolic links")
    client.build(
        Definition.from_bytes((tmp_path / "llb").read_bytes()),
        local_dirs=directories,
        layouts=layouts,
        secrets={"token": "abc"},
        exports=[Export("local", dest=str(tmp_path / "out"))],
    )
    assert (tmp_path / "out" / RESULTS.get(name, "")).exists()


def test_a_state_s_definition_is_taken(client: Client, tmp_path: Path) -> None:
    state: State = scratch().write("/hello", "world").mkdir("/a")
    client.build(state.definition(), exports=[Export("local", dest=str(tmp_path / "out"))])
    assert (tmp_path / "out" / "hello").read_text() == "world"
