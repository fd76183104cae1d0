"""Runs a scenario with every builder in turn, round after round, and proves that they all made the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import attrs

from bench import workloads
from bench.imagefiles import Files, differences, files_of
from bench.measure import CommandFailed, Usage
from bench.peers.peer import Archive, Missing, Peer
from bench.scenarios import Scenario

_SHOWN_DIFFERENCES = 5


@attrs.frozen
class Outcome:
    """What one builder did in one scenario.

    Attributes:
        runs: one for each round.
        problem: why there is none, or what was other than pybuild's result; "" when all is well.
    """

    runs: tuple[Usage, ...] = ()
    problem: str = ""

    @property
    def seconds(self) -> float:
        """Median of the rounds."""
        return median(run.seconds for run in self.runs)

    @property
    def cpu(self) -> float:
        """Median of the rounds."""
        return median(run.cpu for run in self.runs)

    @property
    def megabytes(self) -> float:
        """Median of the rounds."""
        return median(run.megabytes for run in self.runs)


class Comparison:
    """One scenario, run by several builders.

    Args:
        scenario: what.
        peers: the builders; the first one is what the others' results are compared with.
        folder: a place for workloads and archives; workloads are made once and stay.
        base: reference of the base image.

    Attributes:
        problems: why a builder takes no part any more, by its name.
    """

    def __init__(self, scenario: Scenario, peers: Sequence[Peer], folder: Path, base: str) -> None:
        self._scenario = scenario
        self._peers = peers
        self._folder = folder
        self._source = self._workload(scenario.workload, base)
        self._warm = self._workload(workloads.base_only, base)
        self._runs: dict[str, list[Usage]] = {peer.name: [] for peer in peers}
        self.problems: dict[str, str] = {}

    def run(self, rounds: int) -> dict[str, Outcome]:
        """Measure; every round begins with another builder. Returns what came of it, by the builder's name."""
        for number in range(rounds):
            turn = number % len(self._peers)
            order = [*self._peers[turn:], *self._peers[:turn]]
            self._each(order, partial(self._prepare, first=number == 0))
            if self._scenario.known == "older":
                workloads.change_one_file(self._source)
            self._each(order, lambda peer: self._runs[peer.name].append(self._measured(peer)))
        self._check_equal()
        return {name: Outcome(tuple(runs), self.problems.get(name, "")) for name, runs in self._runs.items()}

    def _workload(self, make: Callable[[Path, str], None], base: str) -> Path:
        folder = self._folder / make.__name__
        if not folder.exists():
            make(folder, base)
        return folder

    def _each(self, peers: Iterable[Peer], action: Callable[[Peer], None]) -> None:
        """Do something with every builder that still takes part; one that cannot is out."""
        for peer in peers:
            if peer.name not in self.problems:
                try:
                    action(peer)
                except (Missing, CommandFailed) as error:
                    self.problems[peer.name] = str(error)

    def _prepare(self, peer: Peer, *, first: bool) -> None:
        """Give a builder the knowledge that the scenario begins with."""
        compression = self._scenario.archive
        if compression and compression not in peer.compressions:
            raise Missing(f"{peer.name} cannot write such an archive ({compression})")
        match self._scenario.known:
            case "nothing":
                peer.forget()
            case "base":
                peer.forget()
                peer.build(self._warm)
            case "same" | "older":
                if first:
                    peer.build(self._source)

    def _measured(self, peer: Peer) -> Usage:
        archive = Archive(self._archive(peer), self._scenario.archive) if self._scenario.archive else None
        if archive is not None:
            archive.dest.unlink(missing_ok=True)
        return peer.build(self._source, archive, sample_memory=self._scenario.sample_memory)

    def _archive(self, peer: Peer) -> Path:
        return self._folder / f"{peer.name}.tar"

    def _check_equal(self) -> None:
        """Compare the image of every builder with the first one's, file by file."""
        made: dict[str, Files] = {}
        self._each(self._peers, lambda peer: made.update({peer.name: self._files(peer)}))
        if self._peers[0].name not in made:
            return
        for name, files in made.items():
            found = differences(made[self._peers[0].name], files)
            if found:
                shown = "; ".join(found[:_SHOWN_DIFFERENCES])
                self.problems[name] = f"{len(found)} paths are not as in {self._peers[0].name}'s image: {shown}"

    def _files(self, peer: Peer) -> Files:
        archive = self._archive(peer)
        if not archive.exists():
            peer.build(self._source, Archive(archive))
        files = files_of(archive)
        archive.unlink()
        return files


@attrs.frozen
class Ratio:
    """How one figure of two builders compares: the ratio of the medians, and the extremes of single rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Outcome, theirs: Outcome, figure: str) -> Ratio:
        """The ratio of "seconds", "cpu" or "megabytes"."""
        pairs = zip(ours.runs, theirs.runs, strict=True)
        each = [getattr(mine, figure) / getattr(its, figure) for mine, its in pairs]
        return cls(getattr(ours, figure) / getattr(theirs, figure), min(each), max(each))
