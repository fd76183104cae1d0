"""Which passes run, what they say they did, and that they are linear and do not recurse."""

from __future__ import annotations

import pytest

from pybuild.errors import ArgumentError, DefinitionError
from pybuild.llb import construct
from pybuild.llb.files import CopyAction, MkfileAction
from pybuild.llb.meta import ExecMeta, Metadata
from pybuild.llb.mounts import BindMount
from pybuild.llb.ops import DiffOp, MergeOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.location import Frame, Location
from pybuild.passes.pipeline import NAMES, PassReport, names_of, passes_named, run_passes
from pybuild.platform import Platform
from pybuild.protocols import PassContext, SourceMetadata

LONG = 20_000


class Resolver:
    """Every image is what it says."""

    def resolve(self, source: Vertex, platform: Platform) -> SourceMetadata:
        return SourceMetadata(identifier=source.name)


CONTEXT = PassContext(platform=Platform("linux", "amd64"), resolver=Resolver())


def at(line: int) -> list[Location]:
    return [Location([Frame("Buildfile.py", "app", line, line)])]


def write(base: Edge | None, path: str, line: int = 1, metadata: Metadata | None = None) -> Edge:
    action = MkfileAction(path=path, data=b"")
    return Edge(construct.file(base, [(action, None)], metadata=metadata or Metadata(), locations=at(line)))


def run(base: Edge, text: str) -> Edge:
    return Edge(construct.exec_(ExecMeta(args=(text,)), [(BindMount(target="/", output=0), base)]))


def optimized(graph: Graph, names: str, squash: str = "") -> tuple[Graph, list[PassReport]]:
    reports: list[PassReport] = []
    context = PassContext(platform=CONTEXT.platform, squash=squash)
    steps = passes_named(names_of(0, names), lookups=False)
    return run_passes(graph, context, steps, verify_each=True, report=reports), reports


# ------------------------------------------------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fuse", 'there is no pass "fuse"'),
        ("+prune,fuse_files", "with and without a sign"),
        ("-resolve", 'cannot do without the pass "resolve"'),
    ],
)
def test_wrong_names_are_errors(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        names_of(1, text)


def test_every_pass_can_be_chosen_alone() -> None:
    for name in NAMES:
        assert name in names_of(0, name)


def test_passes_that_join_steps_bring_dedupe_along() -> None:
    assert "dedupe" in names_of(1, "-dedupe,+fuse_files")
    assert "dedupe" not in names_of(1, "-dedupe")


def test_default_passes_leave_a_narrowed_context_alone() -> None:
    """A Dockerfile's graph comes with its context narrowed, and keeps its bytes."""
    context = construct.source("local://context", {"local.followpaths": '["a"]'})
    copy = construct.file(None, [(CopyAction(source="/a", dest="/"), Edge(context))])
    graph = Graph([Edge(copy)])
    assert run_passes(graph, CONTEXT, passes_named(names_of(1))) is graph


# ------------------------------------------------------------------------------------------- single passes, receipts


def test_prune_hands_the_places_on() -> None:
    inner = write(None, "/a", 1)
    merged = Edge(Vertex(MergeOp(inputs=(0,)), [inner], locations=at(2)))
    diffed = Edge(Vertex(DiffOp(lower=-1, upper=0), [merged], locations=at(3)))
    made, reports = optimized(Graph([diffed]), "prune")
    assert len(made) == 1
    assert [place.line for place in made.vertices[0].locations] == [1, 2, 3]
    changes = next(report.changes for report in reports if report.name == "prune")
    assert [change.before[0].locations[0].line for change in changes] == [2, 3]


def test_a_twin_keeps_its_place_without_dedupe() -> None:
    """Equal sources of one copy share an input; each has a line of its own, and passes below it leave that alone."""
    one, other = (Edge(construct.source("local://context", locations=at(line))) for line in (1, 2))
    base = Edge(Vertex(MergeOp(inputs=(0,)), [write(None, "/x", 3)], locations=at(4)))
    copies = [(CopyAction(source=path, dest="/"), edge) for path, edge in (("/a", one), ("/b", other))]
    graph = Graph([Edge(construct.file(base, copies, locations=at(5)))])
    made, _ = optimized(graph, "prune")
    assert {place.line for vertex in made.vertices for place in vertex.locations} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    "other",
    [
        Metadata(ignore_cache=True),
        Metadata(export_cache=False),
        Metadata(description=(("pybuild.stage", "base"),)),
    ],
)
def test_unlike_steps_are_not_joined(other: Metadata) -> None:
    graph = Graph([write(write(None, "/a", metadata=other), "/b")])
    assert optimized(graph, "fuse_files")[0] is graph
    both = Graph([write(write(None, "/a", metadata=other), "/b", metadata=other)])
    assert len(optimized(both, "fuse_files")[0]) == 1


def test_names_of_joined_steps_are_strung_together() -> None:
    base: Edge | None = None
    for number in range(6):
        base = write(base, f"/{number}", metadata=Metadata().named(f"step {number}"))
    made, _ = optimized(Graph([base]), "fuse_files")
    assert made.vertices[0].name == "step 0, step 1, step 2, step 3, and 2 more"


def test_a_result_is_not_fused_away() -> None:
    first = write(None, "/a")
    graph = Graph([write(first, "/b"), first])
    assert optimized(graph, "fuse_files")[0] is graph


def test_wildcard_characters_in_a_plain_path_are_no_pattern() -> None:
    """The source would take "a[1]" for a pattern that matches "a1"."""
    source = construct.source("local://context")
    copy = construct.file(None, [(CopyAction(source="/a[1]", dest="/"), Edge(source))])
    graph = Graph([Edge(copy)])
    assert optimized(graph, "narrow_context")[0] is graph


def test_savings_are_measured() -> None:
    graph = Graph([write(write(run(Edge(construct.source("docker-image://alpine")), "x"), "/a"), "/b")])
    report = next(report for report in optimized(graph, "fuse_files")[1] if report.name == "fuse_files")
    assert (report.before.vertices, report.after.vertices) == (4, 3)
    assert (report.before.layers, report.after.layers) == (3, 2)


# --------------------------------------------------------------------------------------------------------- squash


def three_steps() -> Graph:
    base = run(Edge(construct.source("docker-image://alpine", locations=at(1))), "make")
    tested = Edge(base.vertex.replace(locations=at(2), metadata=Metadata(description=(("pybuild.stage", "base"),))))
    return Graph([write(write(tested, "/a", 3), "/b", 4)])


@pytest.mark.parametrize(
    ("text", "layers"),
    [("..", 1), ("base..", 2), ("base..:4", 2), ("..Buildfile.py:3", 2), ("mkfile /a..mkfile /b", 3), ("make..:3", 3)],
)
def test_ranges_of_squash(text: str, layers: int) -> None:
    _, reports = optimized(three_steps(), "", squash=text)
    assert reports[-1].after.layers == layers


@pytest.mark.parametrize(("text", "message"), [("base", "FROM..TO"), ("x..", '"x"'), ("mkfile /b..base", "mkfile /b")])
def test_wrong_ranges_of_squash(text: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        optimized(three_steps(), "", squash=text)


# ---------------------------------------------------------------------------------------------------------- scale


def chain() -> Edge:
    edge = Edge(construct.source("docker-image://alpine"))
    for number in range(LONG):
        edge = write(edge, f"/{number}") if number % 2 else run(edge, str(number))
    return edge


def files(base: Edge | None) -> Edge:
    edge = write(base, "/first")
    for number in range(LONG):
        edge = write(edge, f"/{number}")
    return edge


def merges(left: bool) -> Edge:
    edge = write(None, "/first")
    for number in range(LONG):
        pair = [edge, write(None, f"/{number}")]
        made = construct.merge(pair if left else pair[::-1])
        assert made is not None
        edge = made
    return edge


def diffs() -> Edge:
    base = Edge(construct.source("docker-image://alpine"))
    edge = base
    for number in range(LONG // 4):
        edge = write(edge, f"/{number}")
        laid = construct.merge([base, construct.diff(base, edge)])
        assert laid is not None
        edge = laid
    return edge


def contexts() -> Edge:
    source = Edge(construct.source("local://context"))
    edge: Edge | None = None
    for number in range(LONG):
        edge = Edge(construct.file(edge, [(CopyAction(source=f"/{number}", dest="/"), source)]))
    assert edge is not None
    return edge


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (chain, LONG + 1),
        (lambda: files(None), LONG + 2),
        (lambda: files(Edge(construct.source("docker-image://alpine"))), 2),
        (lambda: merges(left=True), LONG + 2),
        (lambda: merges(left=False), LONG + 2),
        (diffs, 2),
        (contexts, 2),
    ],
    ids=["chain", "files", "files on an image", "left merges", "right merges", "diffs", "contexts"],
)
def test_long_graphs_go_through_all_passes(graph: object, expected: int) -> None:
    assert callable(graph)
    made = run_passes(Graph([graph()]), CONTEXT, passes_named(names_of(2)))
    assert len(made) == expected


def test_many_equal_steps_become_one() -> None:
    equal = [write(None, "/a", line) for line in range(LONG)]
    made = run_passes(Graph(equal), CONTEXT, passes_named(names_of(1)))
    assert len(made) == 1
    assert len(made.vertices[0].locations) == LONG


def test_squash_of_a_long_chain() -> None:
    made, _ = optimized(Graph([chain()]), "", squash="..")
    assert len(made) == LONG + 4
