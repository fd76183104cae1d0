"""S1: how long a command takes that does next to nothing, as a multiple of the bare interpreter's start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import attrs

BUILDFILE = """
from pybuild import State, scratch, target

@target(default=True)
def app() -> State:
    return scratch().write("/hello", "world").mkdir("/d")
"""
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import pybuild": ["-c", "import pybuild"],
    "pybuild --help": ["-m", "pybuild", "--help"],
    "pybuild graph": ["-m", "pybuild", "graph"],
    "pybuild plan": ["-m", "pybuild", "--root", "store", "plan"],
    "pybuild build (cached)": ["-m", "pybuild", "--root", "store", "build", "--progress", "quiet"],
}


@attrs.frozen
class Row:
    """One command: milliseconds, and how often the interpreter could have started meanwhile."""

    command: str
    milliseconds: float
    ratio: float


def measure(rounds: int) -> list[Row]:
    """Run all commands in turn, again and again."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with TemporaryDirectory() as folder:
        (Path(folder) / "Buildfile.py").write_text(BUILDFILE)
        environment = {"PYTHONPATH": sys.path[0] or ".", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
        for _ in range(rounds * 5 + 1):
            for name, arguments in COMMANDS.items():
                started = time.perf_counter()
                subprocess.run(
                    [sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True
                )
                times[name].append(time.perf_counter() - started)
    medians = {name: median(found[1:]) for name, found in times.items()}  # the first one fills caches
    bare = medians["python -c pass"]
    return [Row(name, seconds * 1000, seconds / bare) for name, seconds in medians.items()]


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| S1 | time | of a bare start |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {row.command} | {row.milliseconds:.0f} ms | x{row.ratio:.1f} |" for row in rows)])
