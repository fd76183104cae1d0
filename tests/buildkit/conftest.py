"""Fixtures for tests on a real BuildKit: a Docker daemon of the suite's own, and its command line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("grpc", reason="the extra pybuild[buildkit] is not installed")

from pybuild.engine.buildkit.engine import BuildKitEngine

ROOT = Path(__file__).resolve().parents[2]
DOCKERD = ROOT / "scripts/dockerd"


@pytest.fixture(scope="session")
def docker_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running daemon, `unix://...`; PYBUILD_TEST_DOCKER_HOST names one that runs already."""
    given = os.environ.get("PYBUILD_TEST_DOCKER_HOST")
    if given:
        yield given
        return
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon of the suite's own needs root")
    state = tmp_path_factory.mktemp("dockerd")
    started = subprocess.run([DOCKERD, "start", state], stdout=subprocess.PIPE, text=True, check=True)
    try:
        yield started.stdout.strip().splitlines()[-1]
    finally:
        subprocess.run([DOCKERD, "stop", state], check=True)


@pytest.fixture(scope="session")
def buildkit(request: pytest.FixtureRequest) -> str:
    """The address of a BuildKit: the suite's own Docker Engine; PYBUILD_TEST_BUILDKIT names another, of any kind."""
    given = os.environ.get("PYBUILD_TEST_BUILDKIT")
    return given or f"docker+{request.getfixturevalue('docker_host')}"


@pytest.fixture(scope="session")
def engine(buildkit: str) -> Iterator[BuildKitEngine]:
    """The BuildKit engine on that BuildKit."""
    made = BuildKitEngine(buildkit)
    yield made
    made.close()


@pytest.fixture(scope="session")
def docker(docker_host: str) -> Callable[..., str]:
    """Runs the docker command line on the daemon, and returns what it prints."""

    def run(*args: str | Path, stdin: bytes | None = None, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [DOCKERD, "docker", "-H", docker_host, *args], input=stdin, capture_output=True, check=False, cwd=cwd
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return (done.stdout + done.stderr).decode(errors="replace")

    return run
