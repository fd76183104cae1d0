"""Two processes on one store build one graph at the same moment: every step runs once, both succeed."""

import json
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.embedded.command import command, environment
from tests.embedded.killing import assert_consistent, prepare

pytestmark = pytest.mark.engine


def test_every_step_runs_once(base_layout: Path, tmp_path: Path) -> None:
    project, root = tmp_path / "project", tmp_path / "store"
    prepare(project)
    env = environment({"PYBUILD_BASE": str(base_layout), "TOKEN": uuid.uuid4().hex})

    def start(name: str) -> subprocess.Popen[str]:
        output = f"type=oci,dest={project / name}"
        line = ["build", "--progress", "rawjson", "--secret", "id=key,src=key", "-o", output]
        return subprocess.Popen(
            command(root, *line), cwd=project, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    builds = [start("one.tar"), start("two.tar")]
    printed = [build.communicate(timeout=120)[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], printed
    ran = [
        event["name"]
        for text in printed
        for event in map(json.loads, text.splitlines())
        if event.get("type") == "finished" and event["state"] == "done"
    ]
    commands = [name for name in ran if name.startswith("[result] mkdir /out &&")]
    assert len(commands) == 3, ran
    assert len(set(commands)) == 3, ran
    assert (project / "one.tar").read_bytes() == (project / "two.tar").read_bytes()
    assert_consistent(root)
