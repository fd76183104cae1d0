"""`python -m bench [SCENARIO...] [--peers NAME,...] [--rounds N] [--format table|json]`: measure, and print a table."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

from bench import dockerfiles, graphs, startup, transfers
from bench.base import base_image
from bench.peers.buildah import Buildah
from bench.peers.buildctl import Buildctl
from bench.peers.docker import Docker
from bench.peers.peer import Missing, Peer
from bench.peers.pybuild import Pybuild
from bench.report import Report
from bench.scenarios import SCENARIOS
from bench.sidebyside import Comparison

ALONE = {"G1": graphs, "D1": dockerfiles, "S1": startup, "T1": transfers}
"""What is measured in another way than with builders side by side."""
PEERS: dict[str, Callable[[Path], Peer]] = {"buildctl": Buildctl, "docker": Docker, "buildah": Buildah}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for, or everything. Returns 1 when a builder failed, or made something else than pybuild."""
    options = _parser().parse_args(arguments)
    scenarios = _chosen(options.scenarios, [*SCENARIOS, *ALONE], "scenario", upper=True)
    peers = _chosen(options.peers.split(",") if options.peers is not None else [], PEERS, "peer")
    document: dict[str, object] = {}
    texts: list[str] = []
    problems: list[str] = []
    together = [name for name in scenarios if name in SCENARIOS]
    if together:
        report = _side_by_side(together, [] if options.peers == "" else peers, options.rounds, options.work)
        document |= report.document()
        texts.append(report.table())
        problems = report.problems()
    for name in scenarios:
        if name in ALONE:
            try:
                rows = ALONE[name].measure(options.rounds)
            except Missing as error:
                texts.append(f"{name} is missing: {error}")
                continue
            document[name] = [attrs.asdict(row) for row in rows]
            texts.append(ALONE[name].table(rows))
    text = json.dumps(document, indent=2)
    print(text if options.format == "json" else "\n\n".join(texts))
    if options.json is not None:
        options.json.write_text(text + "\n")
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure pybuild and other builders.")
    add = parser.add_argument
    add("scenarios", metavar="SCENARIO", nargs="*", help=f"of {', '.join([*SCENARIOS, *ALONE])} (default: all)")
    add("--peers", metavar="NAME,...", help=f"builders to compare with, of {', '.join(PEERS)} (default: all)")
    add("--rounds", type=int, default=3, help="how often each is run; medians count (default: 3)")
    add("--format", choices=("table", "json"), default="table", help="how to print the figures (default: table)")
    add("--json", metavar="FILE", type=Path, help="write the figures there, too")
    add(
        "--work",
        metavar="DIR",
        type=Path,
        default=Path.home() / ".cache/pybuild",
        help="where to build (default: %(default)s)",
    )
    return parser


def _chosen(asked: Sequence[str], known: Iterable[str], kind: str, *, upper: bool = False) -> list[str]:
    """The names that were asked for in the order of the table; all when none was."""
    spelled = {name.upper() if upper else name: name for name in known}
    wanted = {name.upper() if upper else name for name in asked if name}
    unknown = wanted - spelled.keys()
    if unknown:
        _parser().error(f"there is no {kind} {min(unknown)}; there are {', '.join(known)}")
    return [name for spelling, name in spelled.items() if not wanted or spelling in wanted]


def _side_by_side(scenarios: Sequence[str], peers: Sequence[str], rounds: int, work: Path) -> Report:
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bench-", dir=work))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        started: list[Peer] = []
        report = Report({}, {})
        asked: list[Peer] = [Pybuild(folder / "pybuild"), *(PEERS[name](folder / name) for name in peers)]
        for peer in asked:
            try:
                peer.start()
                stack.callback(peer.stop)
                report.versions[peer.name] = peer.version()
                started.append(peer)
            except Missing as error:
                report.missing[peer.name] = str(error)
        base = stack.enter_context(base_image(folder / "registry"))
        report.load.append(os.getloadavg()[0])
        for name in scenarios:
            report.outcomes[name] = Comparison(SCENARIOS[name], started, folder, base).run(rounds)
            print(report.row(name), file=sys.stderr, flush=True)  # the rest may take long
        report.load.append(os.getloadavg()[0])
    return report


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as error:
        sys.exit(f"bench: {error}")
