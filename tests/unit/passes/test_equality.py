"""Every pass leaves the result as it is: random graphs are solved with and without it, and the trees compared.

`PYBUILD_RANDOM_GRAPHS` sets how many graphs; `make soak` takes 200.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pybuild.errors import PybuildError
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import origin, toposort
from pybuild.location import Location
from pybuild.passes.pipeline import NAMES, names_of, passes_named, run_passes
from pybuild.passes.receipts import PassReport
from pybuild.platform import Platform
from pybuild.protocols import PassContext
from pybuild.store.store import Store
from tests.random_graphs import make_directory, solvable
from tests.solving import Solved, solve

COUNT = int(os.environ.get("PYBUILD_RANDOM_GRAPHS", "40"))
PLAIN = names_of(0)
CONTEXT = PassContext(platform=Platform("linux", "amd64"))
SAME_LAYERS = ("dedupe", "prune", "flatten_merges", "fold_diffs", "narrow_context", "split_context")
CASES = [*(name for name in NAMES if name not in PLAIN), "-O1", "-O2"]


class Graphs:
    """The random graphs that can be solved, with their results; made when first asked for."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.store = Store.open(place / "store")
        self._directory = make_directory(place / "context")
        self._known: list[tuple[Graph, Solved]] = []
        self._seed = 0

    def __iter__(self) -> Iterator[tuple[Graph, Solved]]:
        for number in range(COUNT):
            while number >= len(self._known):
                self._make()
            yield self._known[number]

    def _make(self) -> None:
        graph = solvable(self._seed, self._directory)
        self._seed += 1
        try:
            solved = solve(self.store, graph, PLAIN, work=self.place)
        except PybuildError:
            assert self._seed < 3 * COUNT + 20, "too many graphs do not work"
            return
        self._known.append((graph, solved))


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    return Graphs(tmp_path_factory.mktemp("graphs"))


def names(case: str) -> tuple[str, ...]:
    return names_of(int(case[2:])) if case.startswith("-O") else names_of(0, case)


def run(graph: Graph, case: str, *, squash: str = "") -> tuple[Graph, list[PassReport]]:
    reports: list[PassReport] = []
    context = PassContext(platform=CONTEXT.platform, squash=squash)
    steps = passes_named(names(case), lookups=False)
    return run_passes(graph, context, steps, verify_each=True, report=reports), reports


def places(vertices: Sequence[Vertex]) -> set[Location]:
    return {place for vertex in vertices for place in vertex.locations}


@pytest.mark.parametrize("case", CASES)
def test_results_are_the_same(graphs: Graphs, case: str) -> None:
    changed = 0
    for graph, expected in graphs:
        if run(graph, case)[0] is graph:
            continue
        changed += 1
        found = solve(graphs.store, graph, names(case), work=graphs.place)
        assert found.tree == expected.tree, [str(report.changes) for report in run(graph, case)[1]]
        if case in SAME_LAYERS:
            assert found.layers == expected.layers
    assert changed >= COUNT // 10, f"the graphs hold nothing for {case}"


@pytest.mark.parametrize("case", CASES)
def test_twice_is_once(graphs: Graphs, case: str) -> None:
    for graph, _ in graphs:
        once, _ = run(graph, case)
        again, reports = run(once, case)
        assert again is once, [report.name for report in reports if report.changed]


@pytest.mark.parametrize("case", CASES)
def test_locations_are_kept(graphs: Graphs, case: str) -> None:
    for graph, _ in graphs:
        made, reports = run(graph, case)
        # What was found to change nothing at all is gone with what only it was made from, unless a merge took it over.
        gone = {
            place
            for report in reports
            for change in report.changes
            if not change.after
            for place in places(toposort(change.before))
        }
        lost = places(graph.vertices) - places(made.vertices) - gone
        assert not lost
        assert places(made.vertices) <= places(graph.vertices)


def test_squashing_leaves_the_tree(graphs: Graphs) -> None:
    changed = 0
    for graph, expected in graphs:
        made, _ = run(graph, "-O1", squash="..")
        if made == run(graph, "-O1")[0]:
            continue
        changed += 1
        found = solve(graphs.store, graph, names_of(1), work=graphs.place, squash="..")
        assert found.tree == expected.tree
        head = graph.heads[0]
        assert found.layers == 1 + (head is not None and origin(head) is not None)  # what it starts from stays
        assert run(made, "-O1", squash="..")[0] is made
    assert changed >= COUNT // 2
