"""`pybuild explain --why` after real builds: what changed since the last one, and what that costs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.command import pybuild
from tests.embedded.conftest import unique

pytestmark = pytest.mark.engine

BUILDFILE = """
import os
from pybuild import State, bind, local, oci_layout, target

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")
source = local(".")

@target(default=True)
def app(level: str = "1") -> State:
    made = base.copy(source.path("/src"), "/src").run(f"cat /src/a > /a; echo {level}; : SALT")
    return made.run("sleep 0.1; cp /a /b").run("cat /o/x").mount(bind(source.path("/other"), "/o"))
"""
COPY, MADE, SLOW, BOUND = "copy /src /src", "cat /src/a", "sleep 0.1; cp /a /b", "cat /o/x"


class Project:
    """A project that is built once, on a store that has the base."""

    def __init__(self, directory: Path, root: Path, base: Path) -> None:
        self.directory, self.root = directory, root
        self.env = {"PYBUILD_BASE": str(base)}
        for name in ("src/a", "src/b", "other/x", "unused"):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(unique())
        (directory / "Buildfile.py").write_text(BUILDFILE.replace("SALT", unique()))
        self.run("build", "-q")

    def run(self, *arguments: str) -> str:
        done = pybuild(self.root, *arguments, cwd=self.directory, env=self.env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def why(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """The steps that run, or ran, by the start of their name."""
        found = json.loads(self.run("explain", "--format", "json", *arguments, "--why"))
        names = (COPY, MADE, SLOW, BOUND, "oci-layout", "local")
        return {next(name for name in names if step["name"].startswith(name)): step for step in found["steps"]}


@pytest.fixture
def project(tmp_path: Path, warm_root: Path, base_layout: Path) -> Project:
    return Project(tmp_path / "project", warm_root, base_layout)


def test_a_file_that_a_copy_uses(project: Project) -> None:
    (project.directory / "src/a").write_text(unique())
    (project.directory / "unused").write_text(unique())
    found = project.why()
    assert list(found) == [COPY, MADE, SLOW, BOUND]
    assert found[COPY]["files"] == [{"path": "src/a", "status": "modified"}]
    assert found[COPY]["reason"] == "files that it uses changed"
    assert found[MADE]["files"] == []
    assert [cause["files"] for cause in found[MADE]["after"]] == [[{"path": "src/a", "status": "modified"}]]
    assert found[SLOW]["outcome"] == "run"
    assert found[SLOW]["seconds"] >= 0.1, "it takes what it took"


def test_a_file_that_a_mount_shows(project: Project) -> None:
    (project.directory / "other/y").write_text("new")
    found = project.why()
    assert list(found) == [BOUND]
    assert found[BOUND]["files"] == [{"path": "other/y", "status": "added"}]


def test_an_argument(project: Project) -> None:
    found = project.why("--arg", "level=2")
    assert list(found) == [MADE, SLOW, BOUND]
    (change,) = found[MADE]["fields"]
    assert change["field"] == "command"
    assert (change["before"].split()[5], change["after"].split()[5]) == ("1;", "2;")
    assert [cause["name"] for cause in found[SLOW]["after"]] == [found[MADE]["name"]]
    assert found[MADE]["seconds"] > 0, "the step that it was tells how long it takes"


def test_another_base(project: Project, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(project.env["PYBUILD_BASE"], layout)
    index = json.loads((layout / "index.json").read_text())
    entry = index["manifests"][0]
    blobs = layout / "blobs/sha256"
    manifest = json.loads((blobs / entry["digest"].partition(":")[2]).read_text())
    manifest["annotations"] = {"note": unique()}
    data = json.dumps(manifest).encode()
    (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    entry.update(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
    (layout / "index.json").write_text(json.dumps(index))
    project.env["PYBUILD_BASE"] = str(layout)
    found = project.why()
    assert list(found) == [COPY, MADE, SLOW, BOUND]
    (cause,) = found[COPY]["after"]
    assert any(entry["digest"] in (change["after"] or "") for change in cause["fields"])


def test_nothing_changed_but_the_cache_is_gone(tmp_path: Path, base_layout: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "own-store", base_layout)
    project.run("prune", "--all")
    found = project.why()
    assert list(found) == [COPY, MADE, SLOW, BOUND]
    for step in found.values():
        assert step["reason"] == "nothing that it depends on changed: its result is not in the cache any more"


def test_the_last_build(project: Project) -> None:
    """Asked afterwards, when everything is cached, it is about the last build."""
    (project.directory / "other/x").write_text(unique())
    project.run("build", "-q")
    found = project.why()
    assert {step["outcome"] for step in found.values()} == {"ran"}
    assert found[BOUND]["files"] == [{"path": "other/x", "status": "modified"}]
    assert SLOW not in found
    project.run("build", "-q")
    assert list(project.why()) == list(found), "a build that does nothing is not remembered"


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, base_layout: Path) -> None:
    project = Project(tmp_path / "project", tmp_path / "own-store", base_layout)
    for record in (project.root / "builds").iterdir():
        record.write_bytes(b"0" * 100)
    found = project.why("--arg", "level=2")
    assert {step["reason"] for step in found.values()} == {"there is no earlier build to compare with"}
    project.run("build", "-q")
    assert project.why("--arg", "level=2")[MADE]["reason"] == "its command changed"


def test_no_cache(project: Project) -> None:
    project.run("build", "-q", "--no-cache")
    assert project.why()[SLOW]["reason"] == "its cache was switched off"


def test_one_step_and_what_is_said_of_it(project: Project) -> None:
    text = project.run("explain", "--why", SLOW, "--arg", "level=2")
    assert f"{SLOW}  (Buildfile.py:11)" in text
    assert "what it stands on changed" in text
    assert "3 of 6 steps would run" in text
    assert "cached: " in project.run("explain", "--why", COPY, "--arg", "level=2")
    done = pybuild(project.root, "explain", "--why", "nope", cwd=project.directory, env=project.env)
    assert done.returncode != 0
    assert 'there is no step "nope"' in done.stderr


def test_plan_tells_times_from_earlier_builds(project: Project) -> None:
    (project.directory / "src/a").write_text(unique())
    steps = json.loads(project.run("plan", "--format", "json"))["steps"]
    assert next(step for step in steps if step["name"] == SLOW)["estimate"] >= 0.1
