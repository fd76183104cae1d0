"""`convert` with contexts: what it writes is the same definition as the command line with the Dockerfile."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pybuild.llb.definition import Definition
from tests.embedded.command import pybuild
from tests.embedded.gitserver import Repository, serve
from tests.embedded.httpserver import Page, serve_files

pytestmark = pytest.mark.engine

DOCKERFILE = """FROM base AS build
ARG VERSION=1
COPY --from=extra sub/a sub/b /x/
RUN --mount=type=bind,from=extra,source=sub,target=/m make $VERSION
COPY a.txt ignored* .
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a context `app`, and `extra` beside it."""
    for name in ("app", "extra/sub", "files"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "app" / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "app" / "a.txt").write_text("hello\n")
    (tmp_path / "app" / ".dockerignore").write_text("ignored\n")
    (tmp_path / "extra" / ".dockerignore").write_text("*.tmp\n")
    for name in ("a", "b"):
        (tmp_path / "extra" / "sub" / name).write_text(name)
    return tmp_path


@pytest.fixture
def contexts(base_layout: Path) -> list[str]:
    return ["--build-context", f"base=oci-layout://{base_layout}:bookworm", "--build-context", "extra=extra"]


def definition(root: Path, place: Path, *arguments: str) -> tuple[str, ...]:
    """The digests of all ops that `llb` prints."""
    file = place / "definition"
    done = pybuild(root, "llb", "-q", "-o", file, *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    return Definition.from_bytes(file.read_bytes()).digests


def convert(root: Path, place: Path, *arguments: str) -> str:
    done = pybuild(root, "convert", *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("output", ["app/Buildfile.py", "files/Buildfile.py"])
def test_directories_and_layouts(warm_root: Path, place: Path, contexts: list[str], output: str) -> None:
    convert(warm_root, place, *contexts, "-o", output, "app")
    written = definition(warm_root, place, "-f", output, "--arg", "VERSION=2")
    assert written == definition(warm_root, place, *contexts, "--build-arg", "VERSION=2", "-f", "app/Dockerfile", "app")


def test_an_ignore_file_of_the_dockerfile_alone(warm_root: Path, place: Path, contexts: list[str]) -> None:
    (place / "files" / "web.Dockerfile").write_text(DOCKERFILE)
    (place / "files" / "web.Dockerfile.dockerignore").write_text("b.txt\n")
    convert(warm_root, place, *contexts, "-f", "files/web.Dockerfile", "app")
    written = definition(warm_root, place, "-f", "app/Buildfile.py")
    assert written == definition(warm_root, place, *contexts, "-f", "files/web.Dockerfile", "app")
    (place / "app" / "Buildfile.py").write_text(
        (place / "app" / "Buildfile.py").read_text().replace("../files/web.Dockerfile.dockerignore", ".dockerignore")
    )
    assert written != definition(warm_root, place, "-f", "app/Buildfile.py")


def test_a_stage_of_the_same_file(warm_root: Path, place: Path) -> None:
    (place / "app" / "Dockerfile").write_text("FROM scratch AS mine\nCOPY a.txt /\nFROM alpine\nCOPY . /all\n")
    given = ["--build-context", "alpine=target:mine", "app"]
    convert(warm_root, place, *given)
    assert "return mine()" in (place / "app" / "Buildfile.py").read_text()
    assert definition(warm_root, place, "-f", "app/Buildfile.py") == definition(
        warm_root, place, "-f", "app/Dockerfile", *given
    )


def test_a_repository(warm_root: Path, place: Path, contexts: list[str]) -> None:
    with serve(place / "served") as server:
        made = Repository(server.root, "app")
        made.commit(svc__Dockerfile=DOCKERFILE, svc__aDOTtxt="from git")
        address = f"{server.url('app')}#main:svc"
        convert(warm_root, place, *contexts, address)
        assert f'git("{server.url("app")}", "main", subdir="svc")' in (place / "Buildfile.py").read_text()
        written = definition(warm_root, place, "-f", "Buildfile.py")
        assert written == definition(warm_root, place, *contexts, address)


def test_downloads(warm_root: Path, place: Path, contexts: list[str]) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(place / "app", ".")
    with serve_files() as server:
        server.pages["/app.tar.gz"] = Page(data=archive.getvalue())
        server.pages["/Dockerfile"] = Page(data=b"FROM base\nCOPY context /x\n")
        for number, path in enumerate(("/app.tar.gz", "/Dockerfile")):
            convert(warm_root, place, *contexts, "-o", f"{number}.py", server.url(path))
            written = definition(warm_root, place, "-f", f"{number}.py")
            assert written == definition(warm_root, place, *contexts, server.url(path))
    assert "unpack=True" in (place / "0.py").read_text()
    assert "unpack" not in (place / "1.py").read_text()


def test_triggers_of_a_base_are_written_out(warm_root: Path, place: Path) -> None:
    (place / "files" / "Dockerfile").write_text("FROM scratch\nCOPY . /\nONBUILD COPY a.txt /src/\nONBUILD ENV A=1\n")
    made = pybuild(warm_root, "build", "-o", "type=oci,dest=layout,tar=false", "-t", "tool:latest", "files", cwd=place)
    assert made.returncode == 0, made.stderr
    (place / "app" / "Dockerfile").write_text("FROM tool\nENV B=$A\n")
    given = ["--build-context", "tool=oci-layout://layout", "app"]
    convert(warm_root, place, *given)
    text = (place / "app" / "Buildfile.py").read_text()
    assert '# what ONBUILD of the image says\n        .copy("a.txt", "/src/")' in text
    assert 'B="1"' in text
    assert definition(warm_root, place, "-f", "app/Buildfile.py") == definition(
        warm_root, place, "-f", "app/Dockerfile", *given
    )


def test_a_base_that_cannot_be_looked_up(warm_root: Path, place: Path) -> None:
    (place / "app" / "Dockerfile").write_text("FROM 127.0.0.1:1/none\nRUN a\n")
    done = pybuild(warm_root, "convert", "app", "-o", "-", cwd=place)
    assert done.returncode == 0
    assert 'image("127.0.0.1:1/none").run("a")' in done.stdout
    assert "warning: 127.0.0.1:1/none: " in done.stderr
    quiet = pybuild(warm_root, "convert", "app", "-o", "-", "--no-lookup", cwd=place)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, done.stdout, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--build-context", "extra=missing", "app"], 'the build context extra "missing" does not exist'),
        (["--build-context", "alpine=target:none", "app"], 'no stage is called "none"'),
        (["-"], "cannot name a context from standard input"),
        (["none"], 'the context "none" is no directory'),
    ],
)
def test_what_is_wrong_writes_nothing(warm_root: Path, place: Path, arguments: list[str], message: str) -> None:
    (place / "app" / "Dockerfile").write_text("FROM scratch\nCOPY a.txt /\n")
    done = pybuild(warm_root, "convert", *arguments, cwd=place)
    assert done.returncode != 0
    assert message in done.stderr
    assert not list(place.rglob("Buildfile.py"))
