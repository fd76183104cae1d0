"""`python -m bench [SCENARIO...] [--rounds N] [--json FILE]`: run the measurements and print their tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import attrs

from bench import graphs, startup

SCENARIOS = {"G1": graphs, "S1": startup}


def main() -> int:
    """Run what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure pybuild.")
    parser.add_argument("scenarios", metavar="SCENARIO", nargs="*", help=f"of {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run; medians count (default: 3)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    wanted = [name.upper() for name in options.scenarios] or list(SCENARIOS)
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown:
        parser.error(f"there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
    found: dict[str, list[dict[str, object]]] = {}
    for name in wanted:
        rows = SCENARIOS[name].measure(options.rounds)
        print(SCENARIOS[name].table(rows), end="\n\n", flush=True)  # type: ignore[arg-type]
        found[name] = [attrs.asdict(row) for row in rows]
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
