"""T1: a context sent to one buildkitd, by pybuild and by buildctl in turn: cold, unchanged, one file changed."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import attrs

from bench.measure import Usage, run
from bench.peers.buildctl import Buildctl
from bench.peers.peer import ROOT, environment

FOLDERS = 200
FILES = 100  # in each
BYTES = 10_000  # of each: 20,000 files have 200 MB
GOAL = 1.5
STATES = ("cold", "nothing changed", "one file changed")
CLIENTS = ("pybuild", "buildctl")


@attrs.frozen
class Row:
    """One state of the engine's copy: medians of seconds on the clock and of the client's CPU seconds, by client."""

    state: str
    seconds: dict[str, float]
    cpu: dict[str, float]

    @property
    def ratio(self) -> float:
        """How much longer pybuild's client takes than buildctl."""
        return self.seconds["pybuild"] / self.seconds["buildctl"]


def measure(rounds: int) -> list[Row]:
    """Send the context `rounds` times with each client. Raises Missing when there is no buildkitd."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        daemon = Buildctl(work / "buildkitd")
        daemon.start()
        try:
            context = work / "context"
            _write(context)
            used: dict[tuple[str, str], list[Usage]] = {}
            for number in range(rounds):
                for client in CLIENTS if number % 2 else CLIENTS[::-1]:
                    for state, usage in _round(client, context, daemon.address):
                        used.setdefault((state, client), []).append(usage)
        finally:
            daemon.stop()
    return [
        Row(
            state,
            {who: median(usage.seconds for usage in used[state, who]) for who in CLIENTS},
            {who: median(usage.cpu for usage in used[state, who]) for who in CLIENTS},
        )
        for state in STATES
    ]


def _round(client: str, context: Path, address: str) -> Iterator[tuple[str, Usage]]:
    """One client after the engine forgot everything."""
    subprocess.run(["buildctl", "--addr", address, "prune", "--all"], check=True, capture_output=True)
    command = _command(client, context, address)
    for state in STATES:
        if state == STATES[-1]:
            (context / "f7/7.bin").write_bytes(random.randbytes(BYTES))
        yield state, run(command, cwd=context, environment=environment(PYTHONPATH=str(ROOT)))


def _command(client: str, context: Path, address: str) -> list[str]:
    if client == "pybuild":
        return [sys.executable, "-m", "bench.transfers", address, str(context)]
    command = ["buildctl", "--addr", address, "build", "--progress", "quiet", "--frontend", "dockerfile.v0"]
    return [*command, "--local", f"context={context}", "--local", f"dockerfile={context}"]


def _write(context: Path) -> None:
    numbers = random.Random(7)
    for outer in range(FOLDERS):
        (context / f"f{outer}").mkdir(parents=True)
        for inner in range(FILES):
            (context / f"f{outer}/{inner}.bin").write_bytes(numbers.randbytes(BYTES))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    what = f"{FOLDERS * FILES:,} files, {FOLDERS * FILES * BYTES // 10**6} MB"
    lines = [
        f"| T1 {what} | pybuild | buildctl | ratio | CPU pybuild | CPU buildctl | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        verdict = "reached" if row.ratio <= GOAL else "missed"
        lines.append(
            f"| {row.state} | {row.seconds['pybuild']:.2f} s | {row.seconds['buildctl']:.2f} s | {row.ratio:.2f} "
            f"| {row.cpu['pybuild']:.2f} s | {row.cpu['buildctl']:.2f} s | {GOAL:g} {verdict} |"
        )
    return "\n".join(lines)


def main(address: str, context: str) -> None:
    """Build as buildctl does, in this process."""
    from pybuild.engine.buildkit import connect

    with connect(address) as client:
        client.build(frontend="dockerfile.v0", local_dirs={"context": context, "dockerfile": context})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
