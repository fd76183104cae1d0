"""Which step of one graph is which of another.

Equal digests match at once. The rest is matched by score, best first: an equal definition, the same name, stage and
line, similar text, and above all the same neighbours; each match raises the scores around it. So a command that was
edited, a base image that was updated and a stage that was renamed stay what they were, and a step is only called new
when nothing resembles it. Every choice is deterministic: equal scores are decided by the order of the steps.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from heapq import heapify, heappop, heappush
from typing import Final

from pybuild.llb.ops import FileOp, SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.viz.diff.fields import Fields, fields_of
from pybuild.viz.diff.uses import uses_of
from pybuild.viz.model import STAGE

# Points: what speaks for two steps being one. Neighbours count by the fraction of them that agree.
_SAME: Final = 6.0
_NAME: Final = 5.0
_INPUTS: Final = 3.0
_USERS: Final = 3.0
_STAGE: Final = 1.5
_LINE: Final = 0.5
_TEXT: Final = 4.0
_ENOUGH_SAME: Final = _SAME + _TEXT + 0.6
_ENOUGH: Final = 4.4
_GROUP: Final = 64
"""Of more equal steps than this in one graph, only those near each other are compared."""
_PAIRS: Final = 40_000
"""Of leftovers with more pairs than this, only those of one stage or with common neighbours are compared."""
_IMAGES: Final = frozenset({"docker-image", "oci-layout"})
_HEAD: Final = -1
Pair = tuple[int, int]


class Shape:
    """A graph with what matching asks of it, by the number of the vertex."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.vertices = graph.vertices
        numbers = {id(vertex): number for number, vertex in enumerate(graph.vertices)}
        self.fields: list[Fields] = [fields_of(vertex) for vertex in graph.vertices]
        self.own = [
            (type(vertex.op).__name__, tuple((name, field.text, field.key) for name, field in fields.items()))
            for vertex, fields in zip(graph.vertices, self.fields, strict=True)
        ]
        self.kinds = [_kind(vertex) for vertex in graph.vertices]
        self.stages = [dict(vertex.metadata.description).get(STAGE, "") for vertex in graph.vertices]
        self.inputs: list[list[tuple[str, int]]] = [
            [(use.role, numbers[id(use.edge.vertex)]) for use in uses_of(vertex)] for vertex in graph.vertices
        ]
        self.users: list[list[tuple[str, int]]] = [[] for _ in graph.vertices]
        for number, inputs in enumerate(self.inputs):
            for role, below in inputs:
                self.users[below].append((role, number))
        for edge in graph.heads:
            if edge is not None:
                self.users[numbers[id(edge.vertex)]].append(("head", _HEAD))
        self.lines = [_line(vertex) for vertex in graph.vertices]


def match(left: Shape, right: Shape) -> dict[int, int]:
    """The number in `right` of each vertex of `left` that has a partner there."""
    return _Matcher(left, right).run()


class _Matcher:
    def __init__(self, left: Shape, right: Shape) -> None:
        self.left = left
        self.right = right
        self.partner: dict[int, int] = {}
        self.taken: dict[int, int] = {}
        self._similar: dict[Pair, float] = {}

    def run(self) -> dict[int, int]:
        digests = {vertex.digest: number for number, vertex in enumerate(self.right.vertices)}
        for number, vertex in enumerate(self.left.vertices):
            other = digests.get(vertex.digest)
            if other is not None:
                self._take(number, other)
        self._greedy(self._equal_pairs(), _ENOUGH_SAME, same=True)
        self._greedy(self._likely_pairs(), _ENOUGH, same=False)
        # What was left out for want of context may have it now.
        self._greedy(self._equal_pairs(), _ENOUGH_SAME, same=True)
        return self.partner

    def _take(self, number: int, other: int) -> None:
        self.partner[number] = other
        self.taken[other] = number

    def _free(self, pair: Pair) -> bool:
        return pair[0] not in self.partner and pair[1] not in self.taken

    def _open(self) -> tuple[list[int], list[int]]:
        lefts = [number for number in range(len(self.left.vertices)) if number not in self.partner]
        rights = [number for number in range(len(self.right.vertices)) if number not in self.taken]
        return lefts, rights

    def _equal_pairs(self) -> Iterator[Pair]:
        """Pairs of vertices whose own definitions are equal."""
        lefts, rights = self._open()
        yield from _near([(self.left.own[n], n) for n in lefts], [(self.right.own[n], n) for n in rights], _GROUP)

    def _likely_pairs(self) -> Iterator[Pair]:
        """Pairs of what is left that do the same kind of thing."""
        lefts, rights = self._open()
        if len(lefts) * len(rights) <= _PAIRS:
            mine = [(self.left.kinds[n], n) for n in lefts]
            yield from _near(mine, [(self.right.kinds[n], n) for n in rights], _PAIRS)
            return
        staged = [(self.left.kinds[n] + (self.left.stages[n],), n) for n in lefts]
        yield from _near(staged, [(self.right.kinds[n] + (self.right.stages[n],), n) for n in rights], _GROUP)
        for number in lefts:
            yield from self._around(number)

    def _around(self, number: int) -> Iterator[Pair]:
        """Pairs of `number` with what has the same place beside something that is matched."""
        for role, below in self.left.inputs[number]:
            other = self.partner.get(below)
            if other is not None:
                yield from ((number, user) for at, user in self.right.users[other][:_GROUP] if at == role)
        for role, user in self.left.users[number]:
            other = self.partner.get(user)
            if other is not None:
                yield from ((number, below) for at, below in self.right.inputs[other][:_GROUP] if at == role)

    def _greedy(self, pairs: Iterable[Pair], enough: float, *, same: bool) -> None:
        """Match pairs, best first; a match makes its neighbours' scores new."""
        known = {pair for pair in pairs if self._fits(pair)}
        heap = [(-self._score(pair), abs(pair[0] - pair[1]), pair) for pair in sorted(known)]
        heapify(heap)
        while heap:
            score, distance, pair = heappop(heap)
            if not self._free(pair):
                continue
            now = -self._score(pair)
            if now > score:  # a neighbour went elsewhere
                heappush(heap, (now, distance, pair))
                continue
            if -now < enough:
                continue
            self._take(*pair)
            for near in self._neighbours(pair):
                if not self._is_hub(near) and (near in known or (not same and self._fits(near))):
                    known.add(near)
                    heappush(heap, (-self._score(near), abs(near[0] - near[1]), near))

    def _is_hub(self, pair: Pair) -> bool:
        """Whether one match more or less makes no difference to a pair; its score is made once, when its turn comes."""
        number, other = pair
        return max(len(self.left.inputs[number]) + len(self.left.users[number]), len(self.right.users[other])) > _GROUP

    def _fits(self, pair: Pair) -> bool:
        return self._free(pair) and self.left.kinds[pair[0]] == self.right.kinds[pair[1]]

    def _neighbours(self, pair: Pair) -> Iterator[Pair]:
        number, other = pair
        for mine, theirs in (
            (self.left.inputs[number], self.right.inputs[other]),
            (self.left.users[number], self.right.users[other]),
        ):
            roles: dict[str, list[int]] = defaultdict(list)
            for role, near in theirs[:_GROUP]:
                roles[role].append(near)
            for role, near in mine[:_GROUP]:
                yield from ((near, far) for far in roles[role] if _HEAD not in (near, far))

    def _score(self, pair: Pair) -> float:
        number, other = pair
        left, right = self.left, self.right
        score = _SAME + _TEXT if left.own[number] == right.own[other] else _TEXT * self._similarity(pair)
        name = left.vertices[number].metadata.name
        if name and name == right.vertices[other].metadata.name:
            score += _NAME
        if left.stages[number] == right.stages[other]:
            score += _STAGE
        if left.lines[number] == right.lines[other]:
            score += _LINE
        score += _INPUTS * self._agreement(left.inputs[number], right.inputs[other])
        return score + _USERS * self._agreement(left.users[number], right.users[other])

    def _agreement(self, mine: Sequence[tuple[str, int]], theirs: Sequence[tuple[str, int]]) -> float:
        """Which part of the neighbours is the same, at the same place."""
        if not mine or not theirs:
            return 0.0
        mapped = {(role, _HEAD if near == _HEAD else self.partner.get(near, -2)) for role, near in mine}
        return len(mapped & set(theirs)) / max(len(mapped), len(set(theirs)))

    def _similarity(self, pair: Pair) -> float:
        """How much of the words of two steps is the same, from 0 to 1."""
        found = self._similar.get(pair)
        if found is None:
            mine, theirs = _words(self.left.fields[pair[0]]), _words(self.right.fields[pair[1]])
            found = SequenceMatcher(None, mine, theirs, autojunk=False).ratio() if mine and theirs else 0.0
            self._similar[pair] = found
        return found


def _near(lefts: Sequence[tuple[Hashable, int]], rights: Sequence[tuple[Hashable, int]], window: int) -> Iterator[Pair]:
    """Pairs of one group, in a large group only of those at about the same position of it."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for group, number in rights:
        groups[group].append(number)
    seen: dict[Hashable, int] = defaultdict(int)
    for group, number in lefts:
        members = groups.get(group, [])
        start = max(0, seen[group] - window // 2) if len(members) > window else 0
        seen[group] += 1
        yield from ((number, other) for other in members[start : start + window])


def _words(fields: Fields, limit: int = 60) -> list[str]:
    """The words of what a step does: its main fields, without what is the same for most steps."""
    main = [f.text for name, f in fields.items() if name not in ("shell", "workdir", "root file system", "action")]
    return re.findall(r"[A-Za-z0-9]+|[^A-Za-z0-9\s]", " ".join(main))[:limit]


def _kind(vertex: Vertex) -> tuple[str, str]:
    """Steps of different kinds are never one."""
    op = vertex.op
    kind = type(op).__name__
    if isinstance(op, SourceOp):
        return kind, "image" if op.scheme in _IMAGES else op.scheme
    return kind, type(op.actions[0]).__name__ if isinstance(op, FileOp) else ""


def _line(vertex: Vertex) -> tuple[str, int]:
    if not vertex.locations:
        return "", 0
    frame = vertex.locations[0].frames[0]
    return frame.function, frame.line
