"""The `pybuild` command as its users run it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def command(root: Path, *arguments: str | Path) -> list[str]:
    """The argument list for `pybuild --root ROOT ARGUMENTS`."""
    return [sys.executable, "-m", "pybuild", "--root", str(root), *map(str, arguments)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that makes `python -m pybuild` work from any directory."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **(extra or {})}


def pybuild(
    root: Path, *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it printed and its exit code."""
    return subprocess.run(
        command(root, *arguments),
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
