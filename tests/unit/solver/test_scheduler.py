"""What runs, what is cached and why: the acceptance rows B1 to B8 of the cache, with fakes that count."""

import asyncio

import pytest

from pybuild.errors import SolveError
from pybuild.llb.meta import LinuxResources, Metadata
from pybuild.llb.mounts import BindMount
from pybuild.llb.vertex import Graph
from tests.fakes.solver import FakeLocks, FakeWorld, MemoryCache, bind, copy, run, solve, source

BASE = "docker-image://docker.io/library/base:latest"


def world(**local: dict[str, str]) -> FakeWorld:
    trees = {f"local://{name}": tree for name, tree in local.items()}
    return FakeWorld(trees={BASE: {"/bin/sh": "sh"}, **trees})


def build(graph: Graph, fake: FakeWorld, cache: MemoryCache, **options: object) -> list[str]:
    """What was executed, in order."""
    fake.executed.clear()
    asyncio.run(solve(graph, fake, cache, **options))  # type: ignore[arg-type]
    return list(fake.executed)


def test_independent_steps_run_at_the_same_time() -> None:
    base = source(BASE)
    first, second = run(base, "put /a 1"), run(base, "put /b 2")
    both = copy(copy(base, first, "/a", "/a"), second, "/b", "/b")
    fake = world()
    fake.together = 2
    assert len(build(Graph([both]), fake, MemoryCache())) == 4


def test_unused_stage_is_not_even_identified() -> None:
    fake = world()
    assert build(Graph([run(source(BASE), "put /a 1")]), fake, MemoryCache()) == ["put /a 1"]
    assert fake.fetched == [BASE]


def test_second_build_runs_and_fetches_nothing() -> None:
    fake, cache = world(), MemoryCache()
    graph = Graph([run(run(source(BASE), "put /a 1"), "put /b 2")])
    assert len(build(graph, fake, cache)) == 2
    fake.fetched.clear()
    assert build(graph, fake, cache) == []
    assert fake.fetched == []


def test_two_builds_at_once_run_each_step_once() -> None:
    fake, cache, locks = world(), MemoryCache(), FakeLocks()
    graph = Graph([run(run(source(BASE), "put /a 1"), "put /b 2")])

    async def both() -> None:
        await asyncio.gather(solve(graph, fake, cache, locks=locks), solve(graph, fake, cache, locks=locks))

    asyncio.run(both())
    assert sorted(fake.executed) == ["put /a 1", "put /b 2"]
    assert locks.held == set()


def test_renamed_directory_hits_by_content_then_by_definition() -> None:
    fake, cache = world(context={"/one/x": "1"}), MemoryCache()
    base = source(BASE)
    build(Graph([run(copy(base, source("local://context"), "/one", "/app"), "put /b 2")]), fake, cache)
    fake.trees["local://context"] = {"/two/x": "1"}
    renamed = Graph([run(copy(base, source("local://context"), "/two", "/app"), "put /b 2")])
    known = sum(map(len, cache.links.values()))
    assert build(renamed, fake, cache) == []
    assert sum(map(len, cache.links.values())) == known + 1, "the definition link was learned"
    assert build(renamed, fake, cache) == []
    assert sum(map(len, cache.links.values())) == known + 1


def test_renamed_file_runs_where_its_name_can_show() -> None:
    fake, cache = world(context={"/one": "1", "/two": "1"}), MemoryCache()
    base = source(BASE)
    build(Graph([copy(base, source("local://context"), "/one", "/app")]), fake, cache)
    assert build(Graph([copy(base, source("local://context"), "/two", "/app")]), fake, cache) != []


def test_changed_input_runs_only_what_uses_it() -> None:
    fake, cache = world(context={"/x": "1", "/y": "1"}), MemoryCache()

    def graph() -> Graph:
        base, context = source(BASE), source("local://context")
        uses_x = run(base, "put /a 1", bind(context, "/in", "/x"))
        uses_y = run(base, "put /b 2", bind(context, "/in", "/y"))
        return Graph([copy(copy(base, uses_x, "/a", "/a"), uses_y, "/b", "/b")])

    assert len(build(graph(), fake, cache)) == 4
    fake.trees["local://context"] = {"/x": "2", "/y": "1"}
    # Both copies stay cached: what they copy is the same as before.
    assert build(graph(), fake, cache) == ["put /a 1"]


def test_same_output_of_a_rerun_step_keeps_consumers_cached() -> None:
    fake, cache = world(), MemoryCache()
    base = source(BASE)
    stage = run(base, "put /a 1")
    graph = Graph([run(base, "put /b 2", bind(stage, "/in", "/a"))])
    build(graph, fake, cache)
    again = run(run(base, "put /other 3"), "put /a 1")
    assert build(Graph([run(base, "put /b 2", bind(again, "/in", "/a"))]), fake, cache) == ["put /other 3", "put /a 1"]


def test_both_selectors_of_one_source_take_part() -> None:
    fake, cache = world(context={"/dir/x": "1", "/file": "1"}), MemoryCache()

    def graph() -> Graph:
        context = source("local://context")
        return Graph([run(source(BASE), "put /a 1", bind(context, "/d", "/dir"), bind(context, "/f", "/file"))])

    build(graph(), fake, cache)
    fake.trees["local://context"] = {"/dir/x": "2", "/file": "1"}
    assert build(graph(), fake, cache) == ["put /a 1"]


def test_order_of_mounts_is_no_identity() -> None:
    base, one, two = source(BASE), source("local://one"), source("local://two")
    left = run(base, "make", bind(one, "/1"), bind(two, "/2"))
    right = run(base, "make", bind(two, "/2"), bind(one, "/1"))
    assert left.vertex.digest == right.vertex.digest


def test_limits_are_no_identity() -> None:
    base = source(BASE)
    limited = run(base, "make", metadata=Metadata(resources=LinuxResources(memory=1 << 30)))
    assert limited.vertex.digest == run(base, "make").vertex.digest


def test_no_cache_runs_again_and_later_steps_match_by_content() -> None:
    fake, cache = world(), MemoryCache()
    base = source(BASE)
    stage = run(base, "put /a 1")
    graph = Graph([copy(base, stage, "/a", "/b")])
    build(graph, fake, cache)
    assert build(graph, fake, cache, no_cache=("put /a 1",)) == ["put /a 1"]
    assert build(graph, fake, cache) == []


def test_first_failure_cancels_the_rest_and_names_its_step() -> None:
    fake, cache = world(), MemoryCache()
    base = source(BASE)
    bad = run(base, "put /a 1")
    later = run(bad, "put /c 3")
    fake.fail = "put /a 1"
    with pytest.raises(SolveError, match="made to fail") as caught:
        build(Graph([copy(later, run(base, "put /b 2"), "/b", "/b")]), fake, cache)
    assert caught.value.vertex == bad.vertex.digest
    assert "put /c 3" not in fake.executed
    fake.fail = ""
    assert "put /a 1" in build(Graph([later]), fake, cache)


def test_writable_output_never_matches_by_content() -> None:
    fake, cache = world(one={"/x": "1"}, two={"/x": "1"}), MemoryCache()
    base = source(BASE)

    def graph(name: str) -> Graph:
        writable = (BindMount(target="/w", output=0), run(source(f"local://{name}"), "put /y 1"))
        return Graph([run(base, "make", writable)])

    build(graph("one"), fake, cache)
    fake.trees["local://two"] = {"/x": "1", "/z": "1"}
    assert "make" in build(graph("two"), fake, cache)


def test_a_chain_of_many_steps_is_solved_without_recursion() -> None:
    fake, cache = world(), MemoryCache()
    edge = source(BASE)
    for number in range(3000):
        edge = run(edge, f"step {number}")
    assert len(build(Graph([edge]), fake, cache)) == 3000
    assert build(Graph([edge]), fake, cache) == []
