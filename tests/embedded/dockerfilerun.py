"""A Dockerfile's text, built by the embedded engine on the Debian base, and what came of it."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest

from tests.embedded.command import command, environment
from tests.embedded.conftest import unique


@attrs.frozen
class Outcome:
    """What one build printed: its exit code, all text, the lines of steps, and the steps that really ran."""

    code: int
    text: str
    printed: tuple[str, ...]
    ran: tuple[str, ...]


Run = Callable[..., Outcome]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    (place / "dir").mkdir(parents=True)
    (place / "file").write_text(unique())
    (place / "dir" / "inner").write_text(unique())
    return place


@pytest.fixture
def run(base_layout: Path, warm_root: Path, project: Path) -> Run:
    """Builds a Dockerfile's text in the project, with the Debian base as `base`."""

    def call(text: str, *arguments: str | Path, env: dict[str, str] | None = None) -> Outcome:
        (project / "Dockerfile").write_text(text)
        line = ["build", "--build-context", f"base=oci-layout://{base_layout}:bookworm", "--progress", "rawjson"]
        done = subprocess.run(
            command(warm_root, *line, *arguments, "."),
            cwd=project,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return outcome(done.returncode, done.stderr)

    return call


def outcome(code: int, text: str) -> Outcome:
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    vertices = [vertex for event in events for vertex in event.get("vertexes") or ()]
    data = b"".join(log_data(event.get("logs") or ()) for event in events)
    ran = [vertex["name"] for vertex in vertices if "completed" in vertex and not vertex.get("cached")]
    return Outcome(code, text, tuple(data.decode().splitlines()), tuple(dict.fromkeys(ran)))


def log_data(logs: Sequence[dict[str, str]]) -> bytes:
    return b"".join(base64.b64decode(log["data"]) for log in logs)


def steps(found: Outcome, part: str) -> list[str]:
    """The executed steps that have `part` in their names."""
    return [name for name in found.ran if part in name]
