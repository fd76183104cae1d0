"""D1: some 2,000 lines of Dockerfiles become definitions; each is compared with BuildKit's own bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import attrs

VECTORS = Path(__file__).resolve().parents[1] / "tests/vectors"


@attrs.frozen
class Row:
    """Medians: files and lines, seconds for all of them, peak memory in MB, and how many are not as BuildKit's."""

    files: int
    lines: int
    seconds: float
    megabytes: int
    unequal: int


def measure(rounds: int) -> list[Row]:
    """Lower all of them `rounds` times, each time in a new process."""
    command = [sys.executable, "-m", "bench.dockerfiles"]
    runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(rounds)]
    middle = {name: median(run[name] for run in runs) for name in runs[0]}
    return [
        Row(
            files=int(middle["files"]),
            lines=int(middle["lines"]),
            seconds=middle["seconds"],
            megabytes=round(middle["megabytes"]),
            unequal=max(int(run["unequal"]) for run in runs),
        )
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| D1 | files | lines | time | per line | peak memory | other than BuildKit's |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        each = row.seconds / row.lines * 1e6
        lines.append(
            f"| Dockerfiles to definitions | {row.files} | {row.lines:,} | {row.seconds:.2f} s | {each:.0f} µs "
            f"| {row.megabytes} MB | {row.unequal} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure once, in this process."""
    import resource
    import time

    from tests.wire.dockerfiles import run_case
    from tests.wire.resolver import load_resolver

    cases = sorted(path.parent for path in VECTORS.glob("authored/*/Dockerfile"))
    lines = sum((case / "Dockerfile").read_bytes().count(b"\n") for case in cases)
    resolver = load_resolver(VECTORS / "resolver.json")
    caps = json.loads((VECTORS / "llb_caps.json").read_text())
    started = time.perf_counter()
    unequal = sum(bool(run_case(case, resolver, caps)) for case in cases)
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"files": len(cases), "lines": lines, "seconds": seconds, "megabytes": megabytes, "unequal": unequal}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
