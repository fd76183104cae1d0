"""Images are loaded into Docker and podman, without the layers that they have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybuild import State, scratch, to_docker
from pybuild.errors import ExportError
from tests.buildkit.conftest import DOCKERD
from tests.embedded.command import pybuild
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.docker


@pytest.fixture
def fresh(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "own-store", tmp_path)


@pytest.fixture(scope="module", params=["true", "false"], ids=["containerd", "graph driver"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon that keeps its images in containerd's store, and one that keeps them itself."""
    if request.param == "true":
        yield request.getfixturevalue("docker_host")
        return
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon of the suite's own needs root")
    state = tmp_path_factory.mktemp("dockerd")
    environment = {**os.environ, "DOCKERD_CONTAINERD": "false"}
    started = subprocess.run([DOCKERD, "start", state], stdout=subprocess.PIPE, text=True, check=True, env=environment)
    try:
        yield started.stdout.strip().splitlines()[-1]
    finally:
        subprocess.run([DOCKERD, "stop", state], check=True)


@pytest.fixture
def docker(host: str) -> Callable[..., str]:
    def run(*arguments: str | Path) -> str:
        done = subprocess.run([DOCKERD, "docker", "-H", host, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def sent(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a docker on the path that keeps a copy of what is loaded; gives the copy's place."""
    programs = tmp_path / "bin"
    programs.mkdir()
    copy = tmp_path / "sent.tar"
    program = programs / "docker"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = load ]; then cat > {copy}; exec {DOCKERD} docker "$@" < {copy}; fi\n'
        f'exec {DOCKERD} docker "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", host)
    return copy


def layers_in(archive: Path) -> tuple[int, int]:
    """How many layers the image in an archive has, and how many of them are in it."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        layers = json.load(manifest)[0]["Layers"]
        return len(layers), len(set(layers) & set(tar.getnames()))


def app(text: str) -> State:
    return scratch().write("/one", text).write("/two", text).cmd("/one").label(text=text)


def test_docker_gets_the_layers_that_it_lacks(sent: Path, docker: Callable[..., str], fresh: Builder) -> None:
    text = unique()
    fresh(app(text), output=to_docker(None, f"load-{text}:1"))
    assert layers_in(sent) == (2, 2)
    found = json.loads(docker("image", "inspect", f"load-{text}:1"))[0]
    assert found["Config"]["Cmd"] == ["/one"]
    fresh(app(text).write("/three", "3"), output=to_docker(None, f"load-{text}:2"))
    assert layers_in(sent) == (3, 1)
    fresh(app(text).label(more="1"), output=to_docker(None, f"load-{text}:3"))
    assert layers_in(sent) == (2, 0)
    docker("create", "--name", text, f"load-{text}:2")
    docker("export", text, "-o", sent)
    with tarfile.open(sent) as tar:
        assert {"one", "two", "three"} <= set(tar.getnames())
    docker("rm", text)
    docker("image", "rm", *[f"load-{text}:{number}" for number in (1, 2, 3)])
    fresh(app(text), output=to_docker(None, f"load-{text}:4"))
    assert layers_in(sent) == (2, 2), "what was removed there travels again"
    docker("image", "rm", f"load-{text}:4")


def test_the_command_line_loads(sent: Path, docker: Callable[..., str], tmp_path: Path) -> None:
    text = unique()
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\nCOPY Dockerfile /\nLABEL text={text}\n")
    for _ in range(2):  # run by a worker, and out of the cache
        done = pybuild(
            tmp_path / "store", "build", "--engine", "embedded", "--load", "-t", f"load-{text}", ".", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(docker("image", "inspect", f"load-{text}"))[0]["Config"]["Labels"] == {"text": text}
    assert layers_in(sent) == (1, 0)
    docker("image", "rm", f"load-{text}")


def test_a_daemon_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, sent: Path, fresh: Builder) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(ExportError, match="nothing to load the image into: docker: "):
        fresh(app(unique()), output=to_docker(None).__class__(type="docker", attrs=(("into", "docker"),)))
    assert not sent.exists()


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Runs podman with storage of its own, as the build does from now on."""
    real = shutil.which("podman")
    if real is None:
        pytest.skip("podman is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "podman"
    state = Path(tempfile.mkdtemp(prefix="pod"))  # podman wants short paths
    storage = f"--storage-driver vfs --root {state}/root --runroot {state}/run"
    program.write_text(f'#!/bin/sh\nexec strace -f -qq -e trace=openat -A -o {tmp_path}/trace {real} {storage} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def run(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    shutil.rmtree(state)


def test_podman_takes_what_it_lacks(podman: Callable[..., str], fresh: Builder, tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    def output(tag: str) -> object:
        return to_docker(None).__class__(type="docker", attrs=(("into", "podman"), ("name", f"localhost/load:{tag}")))

    first = fresh(app("1"), output=output("1"))
    trace.write_text("")
    second = fresh(app("1").write("/three", "3"), output=output("2"))
    opened = {name.partition('"')[0] for name in trace.read_text().split("/blobs/sha256/")[1:]}
    documents = {
        str(second.metadata[f"containerimage.{name}digest"]).removeprefix("sha256:") for name in ("", "config.")
    }
    assert documents < opened
    assert len(opened - documents) == 1, "the one new layer"
    images = json.loads(podman("image", "ls", "--format", "json"))
    assert sorted(name for image in images for name in image["Names"]) == ["localhost/load:1", "localhost/load:2"]
    assert {f"sha256:{image['Id']}" for image in images} == {
        result.metadata["containerimage.config.digest"] for result in (first, second)
    }
