"""Planning: which steps of a job are cached, without running anything.

Pure bookkeeping over the cache store and what the sources know without fetching: no event loop, no containers, no
privileges. A cached build ends here. Mirrors what BuildKit's scheduler learns in the states cache-fast and cache-slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from pybuild.digest import digest_of
from pybuild.llb.vertex import Vertex
from pybuild.protocols import CacheLink, CacheStore, Plan, PlannedStep
from pybuild.solver.cachemap import Selection
from pybuild.solver.lookup import definition_links, find, identified, missing_inputs, result_key
from pybuild.solver.state import Job, Step

if TYPE_CHECKING:
    from pybuild.remotecache.imports import Imports


class Sources(Protocol):
    """What the solver asks of all sources together (implemented in `sources.py`)."""

    def key(self, vertex: Vertex) -> str:
        """The source's cache key. Raises SourceFetchError."""
        ...

    def content(self, vertex: Vertex, selection: Selection) -> str | None:
        """The content key of a selection, when it can be had without fetching the source."""
        ...


class Contents(Protocol):
    """Content keys of stored results (implemented in `contents.py`)."""

    def of_snapshot(self, snapshot: str, selection: Selection) -> str:
        """The content key of a selection of a snapshot's tree."""
        ...


class Planner:
    """Fills in the state of a job's steps.

    Args:
        cache: the cache store.
        sources: all sources.
        contents: content keys of snapshots.

    Attributes:
        imports: caches that other builds have written, if there are any.
    """

    def __init__(self, cache: CacheStore, sources: Sources, contents: Contents) -> None:
        self.cache = cache
        self.sources = sources
        self.contents = contents
        self.imports: Imports | None = None

    def plan(self, job: Job) -> list[tuple[str, list[CacheLink]]]:
        """Decide on every step.

        Returns:
            (result key, links) to be added to the cache: definition keys of what was found by content.
        """
        learned: list[tuple[str, list[CacheLink]]] = []
        for step in job.steps:
            if step.is_source:
                step.state = "source"
                key = self.sources.key(step.vertex)
                step.keys = dict.fromkeys(step.needed or {0}, key)
                self._look_into_imports(step)
                continue
            learned += self.settle(step)
        return learned

    def settle(self, step: Step) -> list[tuple[str, list[CacheLink]]]:
        """Look one step up; afterwards it is cached, or must (or may have to) run, with a reason."""
        if step.no_cache:
            step.state, step.reason = "run", "its cache was switched off"
            return []
        self._look_into_imports(step)
        match = find(step, self.cache, self.content_of)
        step.expired = match is not None and self._is_too_old(step, match.keys.values())
        if match is None or step.expired:
            self._not_stored(step)
            return []
        step.state, step.keys = "cached", dict(match.keys)
        step.matched = "content" if match.by_content else "definition"
        step.reason = "equal content of its inputs" if match.by_content else "equal definition and inputs"
        return [(key, match.new_links[output]) for output, key in match.keys.items() if match.new_links[output]]

    def _not_stored(self, step: Step) -> None:
        """The store has no result: an imported cache may, and what stands on the step may be stored all the same."""
        outputs = step.needed or {0}
        keys = {output: result_key(step, output, self._nonce(step, output)) for output in outputs if identified(step)}
        if keys and all(output in step.remote for output in outputs):
            step.state, step.keys, step.matched = "cached", keys, "import"
            step.reason = f"found in {step.remote[min(outputs)].spec}"
            return
        if step.ttl:  # nothing may stand on a result whose age is not known
            step.records.clear()
        else:
            step.expected = keys
        step.state = "maybe" if self._depends_on_content(step) else "run"
        step.reason = self._why(step)

    def _look_into_imports(self, step: Step) -> None:
        if self.imports is None:
            return
        from pybuild.solver.imported import find_records

        for output in step.needed or {0}:
            step.records[output] = find_records(step, output, self.imports, self.content_of)
            result = self.imports.result(step.records[output])
            if result is not None and not step.distrusted and not _is_over(step, result.created):
                step.remote[output] = result

    def _is_too_old(self, step: Step, keys: Iterable[str]) -> bool:
        if not step.ttl:
            return False
        records = [record for key in keys if (record := self.cache.load(key)) is not None]
        return any(_is_over(step, record.created) for record in records)

    @staticmethod
    def _nonce(step: Step, output: int) -> str:
        """An imported result does not take the place of an older one: what stands on that does not stand on this."""
        remote = step.remote.get(output)
        return repr(remote.created) if step.expired and remote is not None else ""

    def content_of(self, step: Step, number: int) -> str | None:
        """The content key of an input, when its tree is at hand; None otherwise."""
        below, output = step.inputs[number]
        selections = step.map.inputs[number].selections or (Selection(path="/"),)
        parts: list[str] = []
        for selection in selections:
            part = self._selection_content(below, output, selection)
            if part is None:
                return None
            parts.append(part)
        return digest_of("contents", tuple(parts))

    def _selection_content(self, below: Step, output: int, selection: Selection) -> str | None:
        if below.is_source:
            return self.sources.content(below.vertex, selection)
        key = below.keys.get(output)
        record = self.cache.load(key) if key is not None else None
        return None if record is None else self.contents.of_snapshot(record.ref.snapshot, selection)

    def _depends_on_content(self, step: Step) -> bool:
        """Whether a step that was not found may still be, once unsettled inputs have shown their content."""
        open_inputs = [number for number, (below, _) in enumerate(step.inputs) if not below.settled]
        if not open_inputs or not all(step.map.inputs[number].by_content for number in open_inputs):
            return False
        output = min(step.needed, default=0)
        known = definition_links(step, output)
        return all(self.cache.query(link) for link in known if not step.map.inputs[link.input_index].by_content)

    def _why(self, step: Step) -> str:
        if step.expired:
            return f"its result is older than {step.ttl:g} s"
        if not step.inputs:
            return "no stored result for this step"
        missing = missing_inputs(step, self.cache)
        names = [step.inputs[number][0].vertex.name for number in missing]
        if len(missing) == len(step.inputs):
            open_names = [below.vertex.name for below, _ in step.inputs if not below.settled]
            return f"{open_names[0]} runs first" if open_names else "no stored result for this step"
        return f"changed: {', '.join(dict.fromkeys(names))}" if names else "no result for this combination of inputs"


def _is_over(step: Step, created: float) -> bool:
    return bool(step.ttl) and created + step.ttl < time.time()


def as_plan(job: Job, estimate: Callable[[str], float]) -> Plan:
    """The plan as a value for people: every step that the build would look at.

    Args:
        job: planned.
        estimate: how many seconds an op of some digest took the last time, 0 when unknown.
    """
    wanted = {step.number for step in job.to_run()}
    steps = [
        PlannedStep(
            vertex=step.vertex,
            state=step.state,
            reason=step.reason,
            estimate=0.0 if step.is_source or step.settled else estimate(step.map.op_digest),
        )
        for step in job.steps
        if step.settled or step.number in wanted
    ]
    return Plan(steps=tuple(steps))
