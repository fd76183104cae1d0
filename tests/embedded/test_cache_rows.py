"""Acceptance rows B1 to B8: what runs at the same time, what is cached, what never happens."""

import os
import threading
from pathlib import Path

import pytest

from pybuild import State, bind, embedded, image, local, scratch
from pybuild._api import session_for
from pybuild._request import request_for
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine


def test_b1_independent_steps_run_at_the_same_time(base: State, build: Builder) -> None:
    token = unique()
    # Each waits for the other's sign in a shared cache: one after the other would never end.
    from pybuild import cache

    def step(mine: str, other: str) -> State:
        wait = f"touch /c/{mine} && for i in $(seq 200); do test -e /c/{other} && break; sleep 0.05; done"
        return base.run(f"{wait} && test -e /c/{other} && echo {mine} > /{mine}").mount(cache("/c", id=token))

    first, second = step("a", "b"), step("b", "a")
    tree = build.tree(scratch().copy(first.path("/a"), "/").copy(second.path("/b"), "/"))
    assert (tree / "a").read_text() == "a\n"
    assert (tree / "b").read_text() == "b\n"


def test_b2_unneeded_stage_is_never_resolved(base: State, build: Builder) -> None:
    nowhere = image("localhost:1/does/not:exist").run("false")
    needed = base.run(f"echo {unique()} > /x")
    assert nowhere.digest
    build(needed)
    assert len(build.ran) == 1


def test_b3_two_builds_at_once_run_each_step_once(base: State, warm_root: Path) -> None:
    from pybuild import cache

    token = unique()
    state = base.run("echo ran >> /c/log && sleep 0.5 && echo done > /x").mount(cache("/c", id=token))
    errors: list[BaseException] = []

    def one() -> None:
        try:
            embedded(warm_root).run(request_for(state), session_for(), Builder.Log())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    builder = Builder(warm_root, warm_root.parent)
    builder(base.run(f"cat /c/log # {token}").mount(cache("/c", id=token)))
    assert builder.log == "ran\n"


def test_b4_touched_file_stays_cached(base: State, build: Builder, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "file").write_text(unique())
    state = base.copy(local(context).path("file"), "/file").run("cat /file")
    build(state)
    assert len(build.ran) == 3
    os.utime(context / "file", (1, 1))
    build(state)
    assert build.ran == []


def test_b5_renamed_source_directory_hits(base: State, build: Builder, tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "one").mkdir(parents=True)
    (context / "one" / "file").write_text(unique())

    def state(name: str) -> State:
        return base.copy(local(context).path(name), "/app").run("ls /app")

    build(state("one"))
    (context / "one").rename(context / "two")
    build(state("two"))
    assert build.ran == []
    assert any(step.reason == "equal content of its inputs" for step in build.result.steps)  # type: ignore[union-attr]
    build(state("two"))
    assert all(step.reason != "equal content of its inputs" for step in build.result.steps)  # type: ignore[union-attr]


def test_b6_changed_input_runs_one_step(base: State, build: Builder, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "x").write_text(unique())
    (context / "y").write_text(unique())
    files = local(context)
    uses_both = base.run("cat /x /y > /sum").mount(bind(files.path("x"), "/x"), bind(files.path("y"), "/y"))
    other = base.run("cat /y > /copy").mount(bind(files.path("y"), "/y"))
    result = scratch().copy(uses_both.path("/sum"), "/").copy(other.path("/copy"), "/")
    build(result)
    (context / "x").write_text(unique())
    build(result)
    assert [name for name in build.ran if "cat" in name] == ["cat /x /y > /sum"]


def test_b7_order_of_mounts_has_no_meaning(base: State) -> None:
    one, two = bind(scratch(), "/one"), bind(scratch(), "/two")
    assert base.run("true").mount(one, two).digest == base.run("true").mount(two, one).digest


def test_b8_limit_keeps_the_cache(base: State, build: Builder) -> None:
    command = f"echo {unique()} > /x"
    build(base.run(command))
    build(base.run(command, memory="512m", cpus=1, timeout=60))
    assert build.ran == []
