"""What was measured side by side, as a Markdown table or as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

import attrs

from bench.scenarios import SCENARIOS, Scenario
from bench.sidebyside import Outcome, Ratio

OURS = "pybuild"
BUILDKIT = ("buildctl", "docker")
"""The builders that goals are meant against, the first one that was measured."""


@attrs.define
class Report:
    """Everything of one call.

    Attributes:
        versions: of the builders that were measured, by name; pybuild first.
        missing: why others were not, by name.
        load: mean number of running processes in the minute before and the minute before the end.
        outcomes: by scenario, then by builder.
    """

    versions: dict[str, str]
    missing: dict[str, str]
    load: list[float] = attrs.field(factory=list)
    outcomes: dict[str, dict[str, Outcome]] = attrs.field(factory=dict)

    def table(self) -> str:
        """One row for each scenario, and below it what is missing or was not the same."""
        columns = [self.versions[OURS], *(self.versions[name] for name in self._others)]
        columns += [f"{OURS} / {name}" for name in self._others]
        if self._buildkit:
            columns += [f"CPU / {self._buildkit}", "goal"]
        lines = ["| scenario | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        return "\n".join([*lines, *map(self.row, self.outcomes), "", *self._notes()])

    def row(self, name: str) -> str:
        """The row of one scenario."""
        scenario, outcomes = SCENARIOS[name], self.outcomes[name]
        cells = [f"{name} {scenario.title}", *(_figure(scenario, outcomes[peer]) for peer in self.versions)]
        cells += [_ratio(scenario, outcomes, peer) for peer in self._others]
        if self._buildkit:
            cells += [_cpu(outcomes, self._buildkit), _goal(scenario, outcomes, self._buildkit)]
        return "| " + " | ".join(cells) + " |"

    @property
    def _others(self) -> list[str]:
        return [name for name in self.versions if name != OURS]

    @property
    def _buildkit(self) -> str:
        return next((name for name in BUILDKIT if name in self.versions), "")

    def _notes(self) -> list[str]:
        loads = " and ".join(f"{load:.1f}" for load in self.load)
        notes = [
            f"{machine()}, load {loads} at begin and end. Medians; ratios of medians (lowest to highest of a round)."
        ]
        notes += [f"Missing: {name}: {why}" for name, why in self.missing.items()]
        return notes + [f"Not counted: {text}" for text in self.problems()]

    def problems(self) -> list[str]:
        """What went wrong in which scenario."""
        return [
            f"{name}, {peer}: {outcome.problem}"
            for name, outcomes in self.outcomes.items()
            for peer, outcome in outcomes.items()
            if outcome.problem
        ]

    def document(self) -> dict[str, object]:
        """The same, with every run, for programs."""
        return {
            "machine": machine(),
            "load": self.load,
            "versions": self.versions,
            "missing": self.missing,
            "scenarios": {name: self._scenario(name) for name in self.outcomes},
        }

    def _scenario(self, name: str) -> dict[str, object]:
        outcomes = self.outcomes[name]
        found: dict[str, object] = {
            "title": SCENARIOS[name].title,
            "goal": SCENARIOS[name].goal or None,
            "builders": {
                peer: {"problem": outcome.problem, "runs": [attrs.asdict(run) for run in outcome.runs]}
                for peer, outcome in outcomes.items()
            },
        }
        for peer in self.versions:
            if peer != OURS and _counts(outcomes, peer):
                found[f"{OURS}/{peer}"] = {
                    figure: attrs.asdict(Ratio.of(outcomes[OURS], outcomes[peer], figure))
                    for figure in ("seconds", "cpu", "megabytes")
                    if figure != "megabytes" or SCENARIOS[name].sample_memory
                }
        return found


def machine() -> str:
    """What this ran on."""
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def _counts(outcomes: Mapping[str, Outcome], *names: str) -> bool:
    return all(outcomes[name].runs and not outcomes[name].problem for name in (OURS, *names))


def _unit(scenario: Scenario) -> str:
    return "megabytes" if scenario.sample_memory else "seconds"


def _figure(scenario: Scenario, outcome: Outcome) -> str:
    if not outcome.runs or outcome.problem:
        return "-"
    return f"{outcome.megabytes:.0f} MB" if scenario.sample_memory else f"{outcome.seconds:.2f} s"


def _ratio(scenario: Scenario, outcomes: Mapping[str, Outcome], peer: str) -> str:
    if not _counts(outcomes, peer):
        return "-"
    ratio = Ratio.of(outcomes[OURS], outcomes[peer], _unit(scenario))
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _cpu(outcomes: Mapping[str, Outcome], peer: str) -> str:
    return f"{Ratio.of(outcomes[OURS], outcomes[peer], 'cpu').median:.2f}" if _counts(outcomes, peer) else "-"


def _goal(scenario: Scenario, outcomes: Mapping[str, Outcome], peer: str) -> str:
    if not scenario.goal:
        return ""
    if not _counts(outcomes, peer):
        return f"{scenario.goal:g}"
    reached = Ratio.of(outcomes[OURS], outcomes[peer], _unit(scenario)).median <= scenario.goal
    return f"{scenario.goal:g} {'reached' if reached else 'missed'}"
