"""What a finished job knows of its steps, as records for a cache that other builds read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pybuild.protocols import CacheLink, CacheRecord
from pybuild.remotecache.config import Link, output_digest
from pybuild.remotecache.export import KnownStep
from pybuild.remotecache.imports import Imports
from pybuild.solver.imported import content_links
from pybuild.solver.lookup import CONTENT
from pybuild.solver.state import Job, Step


class Results(Protocol):
    """Stored results, with the links that lead to them (implemented by the cache store)."""

    def load(self, result_key: str) -> CacheRecord | None:
        """The stored result, if it is still there."""
        ...

    def links(self, result_key: str) -> Sequence[CacheLink]:
        """All links that lead to a result."""
        ...


def known_steps(job: Job, results: Results, imports: Imports | None) -> list[KnownStep]:
    """Everything that is known of a job's steps, inputs before what stands on them.

    Args:
        job: planned, and as far as that was necessary, run.
        results: the cache store.
        imports: caches that the job has looked into.
    """
    collector = _Collector(results, imports)
    for step in job.steps:
        for output in sorted(step.needed or {0}):
            collector.add(step, output)
    return collector.steps


class _Collector:
    def __init__(self, results: Results, imports: Imports | None) -> None:
        self.steps: list[KnownStep] = []
        self._results = results
        self._imports = imports
        self._roots: dict[str, int] = {}
        self._places: dict[tuple[int, int], int] = {}

    def add(self, step: Step, output: int) -> None:
        """One output; nothing when it cannot be told what it is made from."""
        if step.is_source:
            self._places[step.number, output] = self._root(output_digest(step.keys[output], 0))
            return
        inputs = self._inputs(step, output)
        if not all(inputs):
            return
        key = step.keys.get(output)
        stored = self._results.load(key) if key is not None else None
        self._places[step.number, output] = len(self.steps)
        self.steps.append(
            KnownStep(
                digest=output_digest(step.map.op_digest, output),
                inputs=inputs,
                snapshot=stored.ref.snapshot if stored is not None else "",
                created=stored.created if stored is not None else 0.0,
                remote=step.remote.get(output) if stored is None else None,
            )
        )

    def _inputs(self, step: Step, output: int) -> tuple[tuple[Link, ...], ...]:
        found: list[list[Link]] = [[] for _ in step.inputs]
        for number, (below, its_output) in enumerate(step.inputs):
            place = self._places.get((below.number, its_output))
            if place is not None:
                found[number].append(Link(record=place, selector=step.map.inputs[number].selector))
        for link in self._contents(step, output):
            found[link.input_index].append(Link(record=self._root(link.input_key), selector=CONTENT))
        return tuple(tuple(links) for links in found)

    def _contents(self, step: Step, output: int) -> Sequence[CacheLink]:
        key = step.keys.get(output)
        stored = [] if key is None else [link for link in self._results.links(key) if link.selector == CONTENT]
        if stored or self._imports is None:
            return stored
        return content_links(step, output, self._imports)

    def _root(self, digest: str) -> int:
        """A record without inputs."""
        if digest not in self._roots:
            self._roots[digest] = len(self.steps)
            self.steps.append(KnownStep(digest=digest))
        return self._roots[digest]
