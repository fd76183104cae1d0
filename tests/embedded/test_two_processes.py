"""Processes on one store that build one graph at the same moment: every step runs once, all succeed."""

import json
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.embedded.command import command, environment
from tests.embedded.killing import assert_consistent, prepare

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("count", [2, 4])
def test_every_step_runs_once(base_layout: Path, tmp_path: Path, count: int) -> None:
    project, root = tmp_path / "project", tmp_path / "store"
    prepare(project)
    env = environment({"PYBUILD_BASE": str(base_layout), "TOKEN": uuid.uuid4().hex})

    def start(name: str) -> subprocess.Popen[str]:
        output = f"type=oci,dest={project / name}"
        line = ["build", "--progress", "rawjson", "--secret", "id=key,src=key", "-o", output]
        return subprocess.Popen(
            command(root, *line), cwd=project, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    builds = [start(f"{number}.tar") for number in range(count)]
    # Read all at once: a build that waits for its output to be read would hold the others up.
    with ThreadPoolExecutor(count) as pool:
        printed = list(pool.map(lambda build: build.communicate(timeout=300)[1], builds))
    assert [build.returncode for build in builds] == [0] * count, printed
    ran = [
        vertex["name"]
        for text in printed
        for line in map(json.loads, text.splitlines())
        for vertex in line.get("vertexes", ())
        if "completed" in vertex and not vertex.get("cached")
    ]
    commands = [name for name in ran if name.startswith("[result] mkdir /out &&")]
    assert len(commands) == 3, ran
    assert len(set(commands)) == 3, ran
    steps = [name for name in ran if not name.startswith("exporting") and "://" not in name]
    assert len(steps) == 7, ran  # with the copies out of the three stages, and the file written last
    assert len({(project / f"{number}.tar").read_bytes() for number in range(count)}) == 1
    assert_consistent(root)
