"""One definition has one digest: in every process and hash seed, from a Buildfile and from a notebook cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pybuild import load_buildfile

ROOT = Path(__file__).resolve().parents[2]
LINES = """\
from pybuild import cache, image, local, merge, scratch

base = image("debian:12").env(A="1", B="2").label(z="1", a="2")
made = base.run("make", env={"C": "3"}).mount(cache("/c"))
files = scratch().write("/a", "1").mkdir("/d").copy(local("src"), "/src", exclude=["b", "a"])
app = merge(made, scratch().copy(files.path("/d"), "/e"), files)
"""
BUILDFILE = f"""\
from pybuild import State, target


@target(default=True)
def result() -> State:
{"".join("    " + line for line in LINES.splitlines(keepends=True) if line.strip())}    return app
"""
CELL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell(open(sys.argv[1]).read())
graph = shell.user_ns["app"].graph()
print(json.dumps([vertex.digest for vertex in graph.vertices]))
"""
SCRIPT = """
import json, sys
from pybuild import load_buildfile
print(json.dumps([vertex.digest for vertex in load_buildfile(sys.argv[1]).state().graph().vertices]))
"""


def digests(script: str, file: Path, seed: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": str(seed),
            "IPYTHONDIR": str(file.parent / "ipython"),
        },
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_digests(tmp_path: Path, seed: int) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    (tmp_path / "cell.py").write_text(LINES)
    here = [vertex.digest for vertex in load_buildfile(tmp_path).state().graph().vertices]
    assert len(here) > 6
    assert digests(SCRIPT, tmp_path / "Buildfile.py", seed) == here
    assert digests(CELL, tmp_path / "cell.py", seed) == here
