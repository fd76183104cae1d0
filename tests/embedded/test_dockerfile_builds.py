"""`pybuild build -f Dockerfile .` as its users run it, and Dockerfiles within a Buildfile."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import PybuildError, State, dockerfile, scratch
from tests.embedded.command import command, environment, pybuild
from tests.embedded.conftest import Builder
from tests.embedded.gitserver import Repository, serve
from tests.embedded.images import read_image

pytestmark = pytest.mark.engine

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG VERSION=1
FROM base AS build
ARG VERSION
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/c echo $VERSION > v && ls -A > names
FROM base
LABEL x=y
COPY --from=build /src/v /src/names /
COPY --chmod=755 a.txt /bin/thing
RUN <<EOT
echo hi > /hi
EOT
ENV FOO=bar
USER games
WORKDIR /work
ENTRYPOINT ["/bin/thing"]
"""
Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    (place / "Dockerfile").write_text(DOCKERFILE)
    (place / "a.txt").write_text("hello\n")
    (place / "ignored").write_text("")
    (place / ".dockerignore").write_text("ignored\n")
    return place


@pytest.fixture
def run(base_layout: Path, warm_root: Path, project: Path) -> Run:
    """Runs `pybuild build` in the project, with the base image as a named context."""

    def call(*arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        line = ["build", "--build-context", f"base=oci-layout://{base_layout}:bookworm", *arguments]
        return subprocess.run(
            command(warm_root, *line),
            cwd=project,
            env=environment(),
            input=stdin or b"",
            capture_output=True,
            check=False,
        )

    return call


def test_an_image(run: Run, project: Path) -> None:
    done = run("--build-arg", "VERSION=7", "-t", "app:1", "-o", "type=oci,dest=../out.tar", "--iidfile", "../iid", ".")
    assert done.returncode == 0, done.stderr.decode()
    image = read_image(project.parent / "out.tar")
    config = image.config["config"]
    assert (config["User"], config["WorkingDir"], config["Labels"]) == ("games", "/work", {"x": "y"})
    assert config["Entrypoint"] == ["/bin/thing"]
    assert "FOO=bar" in config["Env"]
    own = image.layers[-4:]
    assert own[0]["v"].text == "7\n"
    assert own[0]["names"].text.split() == [".dockerignore", "Dockerfile", "a.txt", "names", "v"]
    assert own[1]["usr/bin/thing"].facts == ("-", 0o755, 0, 0)
    assert own[2]["hi"].text == "hi\n"
    history = [
        entry["created_by"] for entry in image.config["history"] if entry.get("comment") == "buildkit.dockerfile.v0"
    ]
    assert history == [
        "LABEL x=y",
        "COPY /src/v /src/names / # buildkit",
        "COPY --chmod=755 a.txt /bin/thing # buildkit",
        "RUN /bin/sh -c echo hi > /hi\n # buildkit",
        "ENV FOO=bar",
        "USER games",
        "WORKDIR /work",
        'ENTRYPOINT ["/bin/thing"]',
    ]
    assert (project.parent / "iid").read_text().startswith("sha256:")
    again = run("--build-arg", "VERSION=7", "--progress", "rawjson", ".")
    vertices = [vertex for line in again.stderr.splitlines() for vertex in json.loads(line).get("vertexes", ())]
    ran = [vertex["name"] for vertex in vertices if "completed" in vertex and not vertex.get("cached")]
    assert ran == []


def test_a_stage_and_no_cache(run: Run, project: Path) -> None:
    assert run("--target", "build", "-o", "out", ".").returncode == 0
    assert (project / "out" / "src" / "v").read_text() == "1\n"
    done = run("--target", "build", "--no-cache-filter", "build", "--progress", "plain", ".")
    assert b"RUN --mount" in done.stderr
    ran = [line for line in done.stderr.decode().splitlines() if line.endswith("CACHED")]
    assert len(ran) == 1  # the base


@pytest.mark.parametrize("form", ["dockerfile", "archive", "file"])
def test_standard_input(run: Run, project: Path, form: str) -> None:
    text = b"FROM base\nRUN echo made > /made\n"
    arguments = {"dockerfile": ["-"], "archive": ["-"], "file": ["-f", "-", "."]}[form]
    if form == "archive":
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(project, ".")
        text = packed.getvalue()
    if form == "file":
        text = b"FROM base\nCOPY a.txt /made\n"
    done = run("-o", "out", *arguments, stdin=text)
    assert done.returncode == 0, done.stderr.decode()
    made = {"dockerfile": "out/made", "archive": "out/hi", "file": "out/made"}[form]
    assert (project / made).read_text() in ("made\n", "hi\n", "hello\n")


def test_a_git_repository_is_the_context(run: Run, project: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "served") as server:
        made = Repository(server.root, "app")
        made.commit(Dockerfile="FROM base\nCOPY f /f\n", f="from git\n", sub__Dockerfile="FROM base\nRUN touch /sub\n")
        done = run("-o", "out", f"{server.url('app')}#main")
        assert done.returncode == 0, done.stderr.decode()
        assert (project / "out" / "f").read_text() == "from git\n"
        assert run("-o", "below", f"{server.url('app')}#main:sub").returncode == 0
        assert (project / "below" / "sub").exists()
        other = run("-f", "sub/Dockerfile", "-o", "other", f"{server.url('app')}")
        assert other.returncode == 0, other.stderr.decode()
        assert (project / "other" / "sub").exists()


FAULTS = {
    "unknown instruction": ("FROM base\nRUM x\n", 3, "unknown instruction: RUM (did you mean RUN?)", "Dockerfile:2"),
    "failing step": ("FROM base\n\nRUN exit 3\n", 1, "exited with code 3", "Dockerfile:3"),
    "missing file": ("FROM base\nCOPY nope /x\n", 1, "nope", "Dockerfile:2"),
    "other frontend": ("# syntax=example/frontend:1\nFROM base\n", 69, "--engine docker", "Dockerfile:1"),
    "unknown stage": ("FROM base AS one\n", 3, 'target stage "two" could not be found', ""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_errors(run: Run, project: Path, name: str) -> None:
    text, code, message, place = FAULTS[name]
    (project / "Dockerfile").write_text(text)
    done = run("-o", "out", *(["--target", "two"] if name == "unknown stage" else []), ".")
    printed = done.stderr.decode()
    assert message in printed
    assert place in printed
    assert done.returncode == code, printed
    assert not (project / "out").exists()


def test_warnings_and_questions(run: Run, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM base AS One\nMAINTAINER me\nARG A=1\nRUN --mount=type=secret,id=s true\n")
    done = run(".")
    assert b"2 warnings found" in done.stderr
    assert b"MaintainerDeprecated" in done.stderr
    checked = run("--check", ".")
    assert checked.returncode == 1
    assert checked.stdout.startswith(b"Check complete, 2 warnings have been found!")
    outline = json.loads(run("--call", "outline,format=json", ".").stdout)
    assert outline["secrets"][0]["name"] == "s"
    assert run("--call", "targets", ".").stdout.startswith(b"TARGET")


def test_other_commands_take_dockerfiles(base_layout: Path, warm_root: Path, project: Path) -> None:
    context = ["--build-context", f"base=oci-layout://{base_layout}:bookworm"]
    for words, expected in (("graph", "COPY . ."), ("explain", "Dockerfile:7"), ("plan", "would run")):
        done = pybuild(warm_root, words, *context, "--build-arg", "VERSION=none-so-far", ".", cwd=project)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    refused = pybuild(warm_root, "plan", "--syntax", "pybuild", "-f", "Buildfile.py", cwd=project)
    assert (refused.returncode, "is for Dockerfiles" in refused.stderr) == (2, True)


def test_a_stage_within_a_buildfile(base: State, build: Builder, project: Path) -> None:
    stage = dockerfile(project / "Dockerfile", context=project, contexts={"base": base}, args={"VERSION": "9"})
    built = stage.run("id -un > /tmp/who && pwd >> /tmp/who && echo $FOO >> /tmp/who").label(more="1")
    image = build.image(built)
    assert image.top["tmp/who"].text == "games\n/work\nbar\n"
    assert image.config["config"]["Labels"] == {"more": "1", "x": "y"}
    assert image.config["config"]["Entrypoint"] == ["/bin/thing"]
    comments = [entry.get("comment") for entry in image.config["history"] if not entry.get("empty_layer")]
    assert comments[-3:] == ["buildkit.dockerfile.v0"] * 3
    assert build.tree(scratch().copy(stage.path("/v"), "/v")).joinpath("v").read_text() == "9\n"


def test_what_is_wrong_with_it_is_told_at_its_line(project: Path) -> None:
    (project / "Dockerfile").write_text("FROM scratch\nCOPPY a b\n")
    with pytest.raises(PybuildError, match="COPPY") as caught:
        dockerfile(context=project)
    assert str(caught.value.locations[0]) == "Dockerfile:2"
