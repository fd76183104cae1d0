"""Why steps run: a plan, or the last build, compared with the build before it, step by step.

The comparison is that of reviews (viz/diff): the same words for the same changes. What it adds is what the cache says,
how long steps took, and the files of this machine instead of those of a revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from pybuild.digest import Digest
from pybuild.engine.buildrecord import BuildRecord, UsedFiles, kept, used_files
from pybuild.engine.localbuild import Build
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.protocols import PlannedStep, StepResult
from pybuild.solver.plan import as_plan
from pybuild.viz.diff.compare import Side, diff, file_changes
from pybuild.viz.diff.model import FieldChange, FileChange, StepDiff

Outcome = Literal["cached", "source", "run", "maybe", "ran"]


@attrs.frozen(kw_only=True, eq=False)
class Cause:
    """A step whose change makes others run: what changed in its definition, or in the directory that it is."""

    vertex: Vertex
    fields: tuple[FieldChange, ...]
    files: tuple[FileChange, ...]


@attrs.frozen(kw_only=True, eq=False)
class Reason:
    """Why one step runs, or ran; or that it does not.

    Attributes:
        vertex: the step.
        outcome: `run`, or `maybe` when it depends on what an earlier step makes; `ran` of a build that is over.
        seconds: how long it took, or is likely to take; 0 when nobody knows.
        words: the reason in a sentence.
        fields: what changed in its definition.
        files: what changed of the files that it uses of local directories.
        after: steps whose change makes it run.
    """

    vertex: Vertex
    outcome: Outcome
    seconds: float
    words: str
    fields: tuple[FieldChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    after: tuple[Cause, ...] = ()


@attrs.frozen(kw_only=True, eq=False)
class Explanation:
    """Reasons for all steps.

    Attributes:
        done: whether they are of the last build, not of one to come.
        time: when that ended, in seconds since the epoch; 0 for one to come.
        before: when the build ended that it is compared with; 0 where there is none.
        reasons: inputs before their users.
    """

    done: bool
    time: float
    before: float
    reasons: tuple[Reason, ...]

    @property
    def running(self) -> tuple[Reason, ...]:
        """The steps that run, or ran."""
        return tuple(reason for reason in self.reasons if reason.outcome in ("run", "maybe", "ran"))

    @property
    def seconds(self) -> float:
        """What they take, as far as it is known."""
        return sum(reason.seconds for reason in self.running)


def reasons(build: Build) -> Explanation:
    """Why the steps of a planned build would run; when none would, why those of the last build did.

    Args:
        build: planned.
    """
    records = kept(build)
    plan = as_plan(build.job, build.store.cache.estimate)
    last = records[0] if records else None
    if plan.complete and last is not None and last.graph == build.graph:
        before = records[1] if len(records) > 1 else None
        results: dict[str, StepResult] = {step.digest: step for step in last.steps}
        found = _Comparison(before, last.graph, last.files).of_results(results)
        return Explanation(done=True, time=last.time, before=before.time if before else 0.0, reasons=found)
    found = _Comparison(last, build.graph, used_files(build)).of_plan(plan.steps)
    return Explanation(done=False, time=0.0, before=last.time if last else 0.0, reasons=found)


class _Comparison:
    """A graph, and what the build before it knows."""

    def __init__(self, before: BuildRecord | None, graph: Graph, files: UsedFiles) -> None:
        self._before = before
        self._graph = graph
        self._files = files
        self._diffs: dict[str, StepDiff] = {}
        self._causes: dict[int, Cause] = {}
        self._took: dict[str, float] = {}
        if before is None:
            return
        found = diff(Side(graph=before.graph, files=before.files), Side(graph=graph, files=files))
        vertices = {vertex.digest: vertex for vertex in (*before.graph.vertices, *graph.vertices)}
        self._diffs = {step.after.digest: step for step in found.steps if step.after is not None}
        self._causes = {
            step.number: Cause(vertex=vertices[Digest(step.version.digest)], fields=step.fields, files=step.files)
            for step in found.steps
        }
        self._took = {step.digest: step.duration for step in before.steps if step.state == "done"}

    def of_plan(self, steps: tuple[PlannedStep, ...]) -> tuple[Reason, ...]:
        """What a build would do."""
        return tuple(self._reason(step.vertex, step.state, step.estimate, step.reason) for step in steps)

    def of_results(self, results: Mapping[str, StepResult]) -> tuple[Reason, ...]:
        """What a build did."""
        found: list[Reason] = []
        for vertex in self._graph.vertices:
            result = results.get(vertex.digest)
            if result is not None and result.state != "skipped":
                outcome: Outcome = "ran" if result.state == "done" else "cached"
                found.append(self._reason(vertex, outcome, result.duration, result.reason))
        return tuple(found)

    def _reason(self, vertex: Vertex, outcome: Outcome, seconds: float, said: str) -> Reason:
        if outcome in ("cached", "source"):
            return Reason(vertex=vertex, outcome=outcome, seconds=0.0, words=said)
        step = self._diffs.get(vertex.digest)
        files = self._changed_files(vertex, step)
        fields = tuple(change for change in step.fields if change.reruns) if step is not None else ()
        after = tuple(self._causes[number] for number in step.because) if step is not None and not files else ()
        if not seconds and step is not None and step.before is not None:
            seconds = self._took.get(step.before.digest, 0.0)  # what it was before is the best guess
        if isinstance(vertex.op, SourceOp):
            files = step.files if step is not None else ()
            words = "brought in" if step is None or step.status == "unchanged" else "it changed"
        else:
            words = self._words(step, said, fields, files, after)
        return Reason(
            vertex=vertex, outcome=outcome, seconds=seconds, words=words, fields=fields, files=files, after=after
        )

    def _changed_files(self, vertex: Vertex, step: StepDiff | None) -> tuple[FileChange, ...]:
        if self._before is None or step is None or step.before is None:
            return ()
        found: dict[str, FileChange] = {}
        for number in range(len(vertex.inputs)):
            now = self._files.get((vertex.digest, number))
            old = self._before.files.get((Digest(step.before.digest), number))
            if now is not None and old is not None:
                found.update((change.path, change) for change in file_changes(old, now))
        return tuple(found.values())

    def _words(
        self,
        step: StepDiff | None,
        said: str,
        fields: tuple[FieldChange, ...],
        files: tuple[FileChange, ...],
        after: tuple[Cause, ...],
    ) -> str:
        if "switched off" in said:
            return said
        if step is None:
            return said if self._before is not None else "there is no earlier build to compare with"
        if step.status == "added":
            return "it is new"
        parts = [f"its {change.field} changed" for change in fields]
        parts += ["files that it uses changed"] if files else []
        if not parts and after:
            return "what it stands on changed"
        return ", and ".join(parts) or "nothing that it depends on changed: its result is not in the cache any more"


__all__ = ["Cause", "Explanation", "Reason", "reasons"]
