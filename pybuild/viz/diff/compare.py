"""Compares two graphs: pairs their steps, says what changed in each, and follows what runs again because of it.

A step runs again when what the cache knows it by is different: its own definition, or what it takes from its inputs
(see docs/cache-keys.md). Of local directories only the files count that a step uses, where they are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from pybuild.digest import Digest
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.location import Location, display_path
from pybuild.protocols import ImagePatch
from pybuild.viz.diff.fields import changes, config_changes, metadata_changes
from pybuild.viz.diff.match import Shape, match
from pybuild.viz.diff.model import FieldChange, FileChange, GraphDiff, Status, StepDiff, Version
from pybuild.viz.diff.union import Numbering, links_of
from pybuild.viz.diff.uses import Use, uses_of
from pybuild.viz.model import model_of

Files = Mapping[str, str]
"""What a step uses of a local directory: an identity of the content by path."""
_MOST_CAUSES: Final = 4


@attrs.frozen(kw_only=True)
class Side:
    """One of the two things that are compared.

    Args:
        graph: the graph.
        label: what to call it, such as a revision.
        patch: the image config that the target sets.
        files: what steps use of local directories, by the digest of the step and the number of its input; for a
            directory that is itself the result, its own digest and -1. What is not there is not known.
        prefix: is taken off the names of source files.
    """

    graph: Graph
    label: str = ""
    patch: ImagePatch = attrs.field(factory=ImagePatch)
    files: Mapping[tuple[Digest, int], Files] = attrs.field(factory=dict[tuple[Digest, int], Files])
    prefix: str = ""


def diff(left: Side, right: Side, *, target: str = "", notes: Sequence[str] = ()) -> GraphDiff:
    """What differs between two graphs.

    Args:
        left: the first one, as it was.
        right: the second one, as it is now.
        target: what was compared.
        notes: remarks for the reader.

    Example:
        >>> from pybuild import image
        >>> base = image("alpine")
        >>> diff(Side(graph=base.run("a").graph()), Side(graph=base.run("b").graph())).summary
        '1 changed, 1 unchanged'
    """
    return _Comparison(left, right).result(target, notes)


@attrs.define
class _Found:
    """What is known of a step of the second graph so far."""

    status: Status
    fields: tuple[FieldChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    because: tuple[int, ...] = ()
    by_content: bool = False
    again: bool = False


class _Comparison:
    def __init__(self, left: Side, right: Side) -> None:
        self.sides = (left, right)
        self.left, self.right = Shape(united(left.graph)), Shape(united(right.graph))
        self.models = (model_of(self.left.graph), model_of(self.right.graph))
        self.partner = match(self.left, self.right)
        self.taken = {other: number for number, other in self.partner.items()}
        self.numbering = Numbering(self.left, self.right, self.partner)
        self.names = tuple([node.name for node in model.nodes] for model in self.models)
        self.at_left = {id(vertex): number for number, vertex in enumerate(self.left.vertices)}
        self.at_right = {id(vertex): number for number, vertex in enumerate(self.right.vertices)}
        self.found: list[_Found] = []

    def result(self, target: str, notes: Sequence[str]) -> GraphDiff:
        for number in range(len(self.right.vertices)):
            other = self.taken.get(number)
            self.found.append(_Found("added", again=True) if other is None else self._matched(other, number))
        steps = [self._step(place, left, right) for place, (left, right) in enumerate(self.numbering.order, 1)]
        return GraphDiff(
            left=self.sides[0].label,
            right=self.sides[1].label,
            target=target,
            steps=tuple(steps),
            links=links_of(*self.models, self.numbering),
            config=config_changes(self.sides[0].patch, self.sides[1].patch),
            notes=tuple(notes),
        )

    # ------------------------------------------------------------------------------------------------ one pair

    def _matched(self, left: int, right: int) -> _Found:
        old, new = self.left.vertices[left], self.right.vertices[right]
        fields = [*changes(self.left.fields[left], self.right.fields[right])]
        fields += metadata_changes(old.metadata, new.metadata)
        causes = _Causes()
        before = {use.role: use for use in uses_of(old)}
        mine = uses_of(new)
        if len(old.inputs) != len(new.inputs) and not fields:
            fields.append(FieldChange(field="inputs", before=self._inputs(0, old), after=self._inputs(1, new)))
        for use in mine:
            earlier = before.get(use.role)
            if earlier is not None:
                fields += self._moved(earlier, use, causes)
            self._below(old, new, earlier, use, causes)
        files = self._source_files(old, new)
        again = any(change.reruns for change in fields) or bool(causes.numbers)
        status: Status = "changed" if fields or files else "invalidated" if causes.numbers else "unchanged"
        by_content = status == "invalidated" and not causes.certain
        return _Found(status, tuple(fields), files, tuple(sorted(causes.numbers)), by_content, again or bool(files))

    def _moved(self, old: Use, new: Use, causes: _Causes) -> list[FieldChange]:
        """Whether an input is another one now; a step put in or taken out before this one is only a cause."""
        below, now = self.at_left[id(old.edge.vertex)], self.at_right[id(new.edge.vertex)]
        if self.partner.get(below) == now and old.edge.output == new.edge.output:
            return []
        if now not in self.taken and self._leads_to(now, below):
            causes.add([self.numbering.of_right[now]], certain=not new.by_content)
            return []
        if below not in self.partner and (now not in self.taken or self._came_from(below, now)):
            causes.add([self.numbering.of_left[below]], certain=not new.by_content)
            return []
        before, after = self.names[0][below], self.names[1][now]
        if before == after:
            before, after = f"{before}, output {old.edge.output}", f"{after}, output {new.edge.output}"
        return [FieldChange(field=new.role, before=before, after=after)]

    def _leads_to(self, start: int, below: int) -> bool:
        """Whether an added step stands, over other added ones only, on what was the input before."""
        wanted = self.partner.get(below)
        reached = _reach(start, self.right, self.taken)
        return wanted in reached if wanted is not None else True

    def _came_from(self, start: int, now: int) -> bool:
        """Whether a removed step stood, over other removed ones only, on what is the input now."""
        return self.taken[now] in _reach(start, self.left, self.partner)

    def _below(self, old: Vertex, new: Vertex, earlier: Use | None, use: Use, causes: _Causes) -> None:
        """Whether this step runs again because of an input."""
        below = self.at_right[id(use.edge.vertex)]
        found = self.found[below]
        if earlier is not None and self.partner.get(self.at_left[id(earlier.edge.vertex)]) == below:
            before = self.sides[0].files.get((old.digest, earlier.number))
            after = self.sides[1].files.get((new.digest, use.number))
            if before is not None and after is not None:
                if before != after:
                    causes.add([self.numbering.of_right[below]], certain=True)
                return
        if found.again:
            own = found.status != "invalidated"
            certain = not use.by_content or _is_source(use.edge.vertex)
            causes.add([self.numbering.of_right[below]] if own else found.because, certain=certain)

    def _source_files(self, old: Vertex, new: Vertex) -> tuple[FileChange, ...]:
        """The changed files of a local directory, of those that anything uses."""
        if not isinstance(new.op, SourceOp):
            return ()
        before, after = self._used(0, old), self._used(1, new)
        return file_changes(before, after) if before is not None and after is not None else ()

    def _used(self, side: int, vertex: Vertex) -> Files | None:
        shape, at = ((self.left, self.at_left), (self.right, self.at_right))[side]
        files = self.sides[side].files
        users = [shape.vertices[user] for _, user in shape.users[at[id(vertex)]] if user >= 0]
        keys = [(u.digest, n) for u in users for n, edge in enumerate(u.inputs) if edge.vertex is vertex]
        known = [files[key] for key in (*keys, (vertex.digest, -1)) if key in files]
        return {path: value for one in known for path, value in one.items()} if known else None

    def _inputs(self, side: int, vertex: Vertex) -> str:
        at = (self.at_left, self.at_right)[side]
        return ", ".join(self.names[side][at[id(edge.vertex)]] for edge in vertex.inputs)

    # ------------------------------------------------------------------------------------------------ values

    def _step(self, place: int, left: int | None, right: int | None) -> StepDiff:
        node = self.models[0].nodes[left or 0] if right is None else self.models[1].nodes[right]
        found = _Found("removed") if right is None else self.found[right]
        return StepDiff(
            number=place,
            status=found.status,
            kind=node.kind,
            stage=node.stage,
            before=None if left is None else self._version(0, left),
            after=None if right is None else self._version(1, right),
            fields=found.fields,
            files=found.files,
            because=found.because,
            by_content=found.by_content,
        )

    def _version(self, side: int, number: int) -> Version:
        node = self.models[side].nodes[number]
        vertex = (self.left, self.right)[side].vertices[number]
        place = _place(vertex.locations[0], self.sides[side].prefix) if vertex.locations else ""
        return Version(name=node.name, place=place, snippet=node.snippet, digest=vertex.digest)


class _Causes:
    """Why a step runs again: numbers of steps, and whether it surely does."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.certain = False

    def add(self, numbers: Iterable[int], *, certain: bool) -> None:
        self.certain = self.certain or certain
        self.numbers = list(dict.fromkeys([*self.numbers, *numbers]))[:_MOST_CAUSES]


def united(graph: Graph) -> Graph:
    """The graph with equal vertices as one, which is how an engine sees it."""
    from pybuild.passes.dedupe import dedupe
    from pybuild.platform import host_platform
    from pybuild.protocols import PassContext

    return dedupe(graph, PassContext(platform=host_platform()))


def file_changes(before: Files, after: Files) -> tuple[FileChange, ...]:
    """What differs between two sets of files, by path.

    Example:
        >>> [change.status for change in file_changes({"a": "1", "b": "1"}, {"b": "2", "c": "1"})]
        ['removed', 'modified', 'added']
    """
    found: list[FileChange] = []
    for path in sorted({*before, *after}):
        if path not in before:
            found.append(FileChange(path=path, status="added"))
        elif path not in after:
            found.append(FileChange(path=path, status="removed"))
        elif before[path] != after[path]:
            found.append(FileChange(path=path, status="modified"))
    return tuple(found)


def _is_source(vertex: Vertex) -> bool:
    return isinstance(vertex.op, SourceOp)


def _reach(start: int, shape: Shape, matched: Mapping[int, int]) -> set[int]:
    """Matched steps that `start` stands on, directly or over unmatched ones."""
    found: set[int] = set()
    seen = {start}
    stack = [start]
    while stack:
        for _, below in shape.inputs[stack.pop()]:
            if below in matched:
                found.add(below)
            elif below not in seen:
                seen.add(below)
                stack.append(below)
    return found


def _place(location: Location, prefix: str) -> str:
    file = location.file
    shown = file.removeprefix(prefix) if prefix and file.startswith(prefix) else display_path(file)
    return f"{shown}:{location.line}"


__all__ = ["Files", "Side", "diff", "file_changes"]
