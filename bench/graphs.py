"""G1: graphs of up to 100,000 steps, a chain and side by side, defined, optimized and marshalled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import attrs

SHAPES = ("chain", "wide")
SIZES = (1_000, 10_000, 100_000)
GOAL_SECONDS = 3.0
GOAL_MB = 600
BUILDFILES = {
    "chain": """
from pybuild import State, scratch, target

@target
def chain(size: int) -> State:
    state = scratch()
    for number in range(size):
        state = state.mkdir(f"/{number}")
    return state
""",
    "wide": """
from pybuild import State, merge, scratch, target

@target
def wide(size: int) -> State:
    return merge(*[scratch().mkdir(f"/{number}") for number in range(size)])
""",
}
_PHASES = ("define", "optimize", "marshal")


@attrs.frozen
class Row:
    """Medians of one shape and size: seconds by phase and in all, peak memory in MB, steps in the definition."""

    shape: str
    size: int
    seconds: dict[str, float]
    megabytes: int
    ops: int

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return sum(self.seconds.values())


def measure(rounds: int, sizes: Sequence[int] = SIZES) -> list[Row]:
    """Run every shape and size `rounds` times."""
    rows: list[Row] = []
    for shape in SHAPES:
        for size in sizes:
            runs = [_run(shape, size) for _ in range(rounds)]
            seconds = {phase: median(run[phase] for run in runs) for phase in _PHASES}
            memory = round(median(run["megabytes"] for run in runs))
            rows.append(Row(shape, size, seconds, memory, int(runs[0]["ops"])))
    return rows


def _run(shape: str, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.graphs", shape, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown: seconds by phase, microseconds per step, memory, and how cost grew with the size."""
    lines = [
        "| G1 | steps | define | optimize | marshal | total | per step | growth | peak memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for before, row in zip([None, *rows], rows, strict=False):
        growth = ""
        if before is not None and before.shape == row.shape:
            growth = f"x{row.total / before.total:.1f} for x{row.size // before.size}"
        phases = " | ".join(f"{row.seconds[phase]:.3f} s" for phase in _PHASES)
        lines.append(
            f"| {row.shape} | {row.size:,} | {phases} | {row.total:.2f} s | {row.total / row.size * 1e6:.0f} µs "
            f"| {growth} | {row.megabytes} MB |"
        )
    worst = [row for row in rows if row.size == max(SIZES)]
    for row in worst:
        reached = row.total <= GOAL_SECONDS and row.megabytes <= GOAL_MB
        lines.append(
            f"\n{row.shape} of {row.size:,}: goal {GOAL_SECONDS:g} s and {GOAL_MB} MB "
            + ("reached" if reached else f"missed: {row.total:.2f} s, {row.megabytes} MB")
        )
    return "\n".join(lines)


def main(shape: str, size: int) -> None:
    """Measure once, in this process."""
    import resource
    import time

    from pybuild import load_buildfile
    from pybuild.llb.marshal import MarshalOptions, marshal
    from pybuild.llb.vertex import Graph
    from pybuild.passes.pipeline import run_passes
    from pybuild.platform import host_platform
    from pybuild.protocols import MetadataResolver, PassContext

    class NoImages(MetadataResolver):
        """Nothing is looked up: there are no images in these graphs."""

    marks = [time.perf_counter()]
    with TemporaryDirectory() as folder:
        place = Path(folder) / "Buildfile.py"
        place.write_text(BUILDFILES[shape])
        state = load_buildfile(place).state(None, {"size": str(size)})
    marks.append(time.perf_counter())
    platform = host_platform()
    graph = run_passes(Graph([state.head]), PassContext(platform=platform, resolver=NoImages()))
    marks.append(time.perf_counter())
    definition = marshal(graph, MarshalOptions(platform=platform))
    marks.append(time.perf_counter())
    seconds = {phase: marks[number + 1] - marks[number] for number, phase in enumerate(_PHASES)}
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**seconds, "megabytes": megabytes, "ops": len(definition.ops)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
