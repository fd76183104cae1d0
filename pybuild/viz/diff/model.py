"""What differs between two graphs, as data: steps, what changed in each, what runs again because of it.

A `GraphDiff` holds texts and numbers only, no graph: whatever is shown of a comparison is made from it, and equal
comparisons are equal values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, get_args

import attrs

from pybuild.viz.model import EdgeKind, NodeKind

Status: TypeAlias = Literal["added", "removed", "changed", "invalidated", "unchanged"]
"""What a change does to a step. `changed`: its own definition, or files that the graph uses of a local directory.
`invalidated`: it is the same, but something below it is not."""
STATUSES: Final[tuple[Status, ...]] = get_args(Status)


@attrs.frozen(kw_only=True)
class FieldChange:
    """One field of a step: its text before and after, None where it was not set.

    `reruns` is False when the cache does not depend on the field, as with names and limits.
    """

    field: str
    before: str | None
    after: str | None
    reruns: bool = True


@attrs.frozen(kw_only=True)
class FileChange:
    """A file of a local directory that the graph uses; `path` is relative to that directory."""

    path: str
    status: Literal["added", "removed", "modified"]


@attrs.frozen(kw_only=True)
class Version:
    """A step in one of the graphs. `place` is the user's file and line, `snippet` the lines there."""

    name: str
    place: str = ""
    snippet: str = ""
    digest: str = ""


@attrs.frozen(kw_only=True)
class StepDiff:
    """A step of either graph, or of both.

    Attributes:
        number: counts from 1, inputs before their users.
        status: what happened to it.
        kind: what it does.
        stage: the target that it belongs to.
        before: the step in the first graph; None when it was added.
        after: the step in the second graph; None when it was removed.
        fields: what changed in its definition.
        files: what changed in a local directory, of the files that the graph uses.
        because: numbers of the steps whose change makes this one run again, at most a few.
        by_content: it runs again only if what it takes from those steps really differs: it mounts or copies their
            results, which may come out the same.
    """

    number: int
    status: Status
    kind: NodeKind
    stage: str = ""
    before: Version | None = None
    after: Version | None = None
    fields: tuple[FieldChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    because: tuple[int, ...] = ()
    by_content: bool = False

    @property
    def version(self) -> Version:
        """The step as it is now; as it was, when it was removed."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """What the step is called now."""
        return self.version.name


@attrs.frozen(kw_only=True)
class LinkDiff:
    """An edge from the step `source` to its user `target`, by number; `status` is added, removed or unchanged."""

    source: int
    target: int
    kind: EdgeKind
    label: str = ""
    status: Status = "unchanged"


@attrs.frozen(kw_only=True)
class GraphDiff:
    """A comparison of two graphs.

    Attributes:
        left: what the first graph is called.
        right: what the second one is called.
        target: the target that was compared, "" when there is none.
        steps: every step of either graph, inputs before their users.
        links: every edge of either graph.
        config: what changed in the image config of the result.
        notes: remarks for the reader, such as a target that only one side has.
    """

    left: str
    right: str
    target: str = ""
    steps: tuple[StepDiff, ...] = ()
    links: tuple[LinkDiff, ...] = ()
    config: tuple[FieldChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[Status, int]:
        """How many steps have each status; every status is there."""
        found = Counter(step.status for step in self.steps)
        return {status: found[status] for status in STATUSES}

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.config and all(step.status == "unchanged" for step in self.steps)

    def of(self, *statuses: Status) -> Iterator[StepDiff]:
        """The steps with one of some statuses, in order."""
        return (step for step in self.steps if step.status in statuses)

    @property
    def summary(self) -> str:
        """One line: how many steps of which status.

        Example:
            >>> GraphDiff(left="a", right="b").summary
            'no difference'
        """
        if self.is_empty:
            count = len(self.steps)
            return f"no difference in {count} step{'s' if count != 1 else ''}" if count else "no difference"
        words = [f"{count} {status}" for status, count in self.counts.items() if count]
        if self.config:
            words.append("image config changed")
        return ", ".join(words)
