"""What is measured side by side: a workload, what the builder knows before, and what it has to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import attrs

from bench import workloads

Known = Literal["nothing", "base", "same", "older"]
"""What a builder has seen before a round: nothing at all; the base image, unpacked; the very same build; the build
before one file of its context changed."""


@attrs.frozen
class Scenario:
    """One row of the table.

    Attributes:
        name: short, as on the command line.
        title: what it is, in a few words.
        workload: writes Dockerfile and context into a new folder, for a base image.
        known: see `Known`.
        goal: the ratio to BuildKit that is aimed at; 0 without one.
        archive: compression of the OCI archive that is written, "" when the result stays in the cache.
        sample_memory: whether peak memory is what counts.
    """

    name: str
    title: str
    workload: Callable[[Path, str], None]
    known: Known
    goal: float = 0.0
    archive: str = ""
    sample_memory: bool = False


_CHAIN = "50 chained RUN steps"
_CONTEXT = "50,000 files (198 MB), COPY + RUN"
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("N1", "4 steps, nothing changed", workloads.four_steps, "same", 1.3),
        Scenario("N2", f"{_CHAIN}, none cached", workloads.chain, "base", 0.5),
        Scenario("N3", f"{_CHAIN}, all cached", workloads.chain, "same", 1.0),
        Scenario("C1", f"{_CONTEXT}, cold", workloads.context, "base", 0.4),
        Scenario("C2", f"{_CONTEXT}, nothing changed", workloads.context, "same", 0.35),
        Scenario("C3", f"{_CONTEXT}, one file changed", workloads.context, "older", 0.2),
        Scenario("C4", "C3 with an OCI archive", workloads.context, "older", 0.3, "gzip"),
        Scenario("P1", "pull the base, RUN true, OCI archive", workloads.base_only, "nothing", 0.5, "gzip"),
        Scenario("W1", "64 RUN side by side, 64 COPY", workloads.fan, "base", 0.5),
        Scenario("X1-zstd", "C4, compressed with zstd", workloads.context, "older", 0.0, "zstd"),
        Scenario("X1-plain", "C4, not compressed", workloads.context, "older", 0.0, "uncompressed"),
        Scenario("M1-N2", "peak memory of N2", workloads.chain, "base", 1.0, sample_memory=True),
        Scenario("M1-C1", "peak memory of C1", workloads.context, "base", 1.0, sample_memory=True),
    )
}
