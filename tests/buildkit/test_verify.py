"""`pybuild verify`: the examples and every feature of the DSL mean the same on both engines; what differs is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.buildkit.conftest import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.engine]

FEATURES = ROOT / "tests/buildkit/features"
Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def verify(docker_host: str, base_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Runs the command on the embedded engine and on the suite's daemon."""
    store = tmp_path_factory.mktemp("store")

    def run(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pybuild", "verify", "-f", file, "--engines", "embedded,docker", *arguments],
            env={
                **os.environ,
                "DOCKER_HOST": docker_host,
                "PYBUILD_BASE": str(base_layout),
                "PYBUILD_ROOT": str(store),
                "PYTHONPATH": str(ROOT),
                "TOKEN": "a secret",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("example", ["1-files", "2-stages", "3-mounts", "4-branches", "5-python"])
def test_examples(verify: Verify, example: str) -> None:
    done = verify(ROOT / "examples" / example, "--secret", "id=token,env=TOKEN", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "embedded and docker agree" in done.stdout


@pytest.mark.parametrize("target", ["copies", "owners", "removals", "processes", "mounts", "combinations", "config"])
def test_features(verify: Verify, target: str) -> None:
    done = verify(FEATURES, target, "--secret", "id=token,env=TOKEN", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_difference_is_shown_with_the_step_and_line_that_made_it(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "import os\n"
        "from pybuild import oci_layout, target\n"
        "@target(default=True)\n"
        "def app():\n"
        "    base = oci_layout(os.environ['PYBUILD_BASE'], 'debian:bookworm')\n"
        "    return base.run('echo same > /same').run('cat /proc/sys/kernel/random/uuid > /id').write('/after', 'x')\n"
    )
    done = verify(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    first, difference, *place = done.stdout.splitlines()
    assert first.startswith("app: embedded and docker differ")
    assert difference.startswith("  /id: content 37 bytes")
    assert "    made by: cat /proc/sys/kernel/random/uuid > /id" in place
    assert any(line.startswith("    >> 6 |") for line in place)
    document = json.loads(verify(tmp_path, "--format", "json").stdout)
    assert document["equal"] is False
    (comparison,) = document["comparisons"]
    (found,) = comparison["differences"]
    assert (found["what"], found["aspect"], found["step"]) == (
        "/id", "content", "cat /proc/sys/kernel/random/uuid > /id",
    )  # fmt: skip


def test_a_dockerfile_against_the_engines_own_frontend(verify: Verify, base_layout: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "Dockerfile").write_text(
        "FROM base AS made\nWORKDIR /w\nCOPY --chown=games file /w/\nRUN cat file > copied && id > id\n"
        'FROM base\nCOPY --from=made /w /from\nENV A=b\nLABEL l=1\nUSER games\nCMD ["x"]\n'
    )
    context = f"base=oci-layout://{base_layout}:debian:bookworm"
    done = verify(tmp_path / "Dockerfile", str(tmp_path), "--build-context", context)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "embedded and docker agree" in done.stdout


def test_a_definition_that_does_not_build_is_no_difference(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import scratch, target\n"
        "@target(default=True)\n"
        "def app():\n    return scratch().remove('/nowhere')\n"
    )
    done = verify(tmp_path)
    assert done.returncode == 1
    assert "error[file-action]" in done.stderr
    assert not done.stdout


def test_one_engine_is_not_enough(verify: Verify) -> None:
    done = verify(FEATURES, "copies", "--engines", "embedded")
    assert done.returncode == 69
    assert "comparing needs two engines" in done.stderr
