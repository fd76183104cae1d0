"""What builds may rely on while the store is used, pruned and killed: rows G1-G9, and D1-D7 of their acceptance tests.

Elsewhere: G2 for git in test_git_rows.py; G3 and D1 in test_prune_beside_builds.py, and that its transactions are short
in tests/unit/store/test_gc.py; G5 and D3 in test_kill.py, test_collecting.py for what the next build puts right, and
test_prune_beside_builds.py for prunes that are killed; G6 for Dockerfiles in tests/unit/frontend.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import State, bind, cache, local, merge, oci_layout, scratch, to_image, to_oci
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.errors import ExecError, SolveError
from pybuild.protocols import SolveResult
from pybuild.store.fsck import fsck
from pybuild.store.store import Store
from tests.embedded.conftest import Builder, mounts_below, unique
from tests.embedded.killing import assert_nothing_left
from tests.embedded.pruning import assert_clean
from tests.embedded.smallbase import small_layout

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return small_layout(tmp_path_factory.mktemp("small") / "base")


@pytest.fixture
def tiny(small: tuple[Path, str]) -> State:
    """A base of a few files."""
    return oci_layout(*small)


def images(build: Builder) -> list[str]:
    store = Store.open(build.root)
    names = [found.name for found in store.images.walk()]
    store.close()
    return names


def snapshots(build: Builder) -> int:
    store = Store.open(build.root)
    count = len(list(store.snapshots.walk()))
    store.close()
    return count


WAIT = "touch /gate/begun; while test ! -e /gate/go; do sleep 0.05; done"


def while_it_runs(build: Builder, state: State, act: Callable[[Store], object]) -> SolveResult:
    """Build a state with a step that does `WAIT` in a cache mount, and do something when it has begun."""
    failed: list[BaseException] = []

    def beside() -> None:
        store = Store.open(build.root)
        try:
            while not (found := list(store.root.glob("cache-mounts/*/*/tree/begun"))):
                time.sleep(0.02)
            try:
                act(store)
            finally:
                found[0].with_name("go").touch()
        except BaseException as error:  # raised again in the test's own thread
            failed.append(error)
        finally:
            store.close()

    thread = threading.Thread(target=beside)
    thread.start()
    try:
        return build(state)
    finally:
        thread.join()
        if failed:
            raise failed[0]


def test_g1_intermediate_results_are_no_images(fresh: Builder, tiny: State) -> None:
    state = tiny.run("echo 1 > /one").run("echo 2 > /two")
    fresh(state, output=to_image("app:latest"))
    with pytest.raises(ExecError):
        fresh(state.run("exit 3"), output=to_image("broken:latest"))
    assert images(fresh) == ["docker.io/library/app:latest"]


def test_g1_g2_a_canceled_build_leaves_no_image_and_holds_nothing(fresh: Builder, tiny: State) -> None:
    cancelled = threading.Event()

    def cancel() -> None:
        while not list(fresh.root.glob("cache-mounts/*/*/tree/begun")):
            time.sleep(0.02)
        cancelled.set()

    state = tiny.run("echo 1 > /one").run(WAIT).mount(cache("/gate"))
    request = request_for(state, to_image("app:latest"))
    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(SolveError, match="build canceled"), session_for() as session:
        fresh.engine.run(request, session, Builder.Log(), cancelled)
    canceller.join()
    assert images(fresh) == []
    assert_nothing_left(fresh.root, "canceled")
    assert_clean(fresh.root)
    store = Store.open(fresh.root)
    assert [record for record in store.gc.usage() if record.in_use] == []
    store.gc.prune(all=True)
    assert {record.kind for record in store.gc.usage()} <= {"record"}
    store.close()


def test_g2_g8_d7_what_a_running_build_needs_stays(fresh: Builder, tiny: State) -> None:
    fresh(tiny.run("echo kept > /base"), output=to_image("base:latest"))
    name = images(fresh)[0]
    gated = tiny.run("echo kept > /base").run(f"{WAIT}; cat /base > /copy; ls /bin/cat").mount(cache("/gate"))

    def remove_and_prune(store: Store) -> None:
        assert store.images.remove(name)
        for _ in range(3):
            store.gc.prune(all=True)

    while_it_runs(fresh, gated.run("cat /copy /base"), remove_and_prune)
    assert fresh.log.split()[-2:] == ["kept", "kept"]
    assert images(fresh) == []
    assert_clean(fresh.root)


@pytest.mark.parametrize("sharing", ["private", "locked"])
def test_g4_builds_do_not_see_what_others_write(fresh: Builder, tiny: State, sharing: str) -> None:
    # Both at once in one directory of their own each, on one base, with one cache that they do not share.
    script = "test ! -e /x && echo {0} > /x && echo {0} > /c/x && sleep 0.3 && cat /x /c/x > /{0}"
    if sharing == "private":
        script = f"test ! -e /c/x && {script}"
    files = []
    for name in ("a", "b"):
        shared = cache("/c", id="g4", sharing=sharing)  # type: ignore[arg-type]
        files.append(scratch().copy(tiny.run(script.format(name)).mount(shared).path(f"/{name}"), f"/{name}"))
    tree = fresh.tree(merge(*files))
    assert {name: (tree / name).read_text() for name in "ab"} == {"a": "a\na\n", "b": "b\nb\n"}


def test_g6_d5_scratch_starts_empty(fresh: Builder, tiny: State) -> None:
    first = tiny.env(LEAK="1").cmd("/leak").run("echo made > /made").user("12").workdir("/leak")
    image = fresh.image(scratch().copy(first.path("/made"), "/made"))
    inherited = {key: value for key, value in image.config["config"].items() if value}
    assert set(inherited) <= {"Env", "WorkingDir"}
    assert "LEAK" not in str(inherited)
    assert "leak" not in str(inherited)


def test_g7_d6_metadata_makes_no_layer(fresh: Builder, tiny: State) -> None:
    base = fresh.image(tiny)
    before = snapshots(fresh)
    image = fresh.image(tiny.env(A="b").label(c="d").cmd("/e"))
    assert len(image.layers) == len(base.layers)
    assert image.config["config"]["Cmd"] == ["/e"]
    assert snapshots(fresh) == before
    assert fresh.ran == []


def test_g9_d2_a_failed_build_leaves_its_results_and_nothing_else(fresh: Builder, tiny: State) -> None:
    state = tiny
    for number in range(1, 5):
        state = state.run(f"echo {number} >> /steps")
    fixed = state.run("test -e /gate/fixed && echo 5 >> /steps").mount(cache("/gate"))
    rest = fixed.run("echo 6 >> /steps").run("echo 7 >> /steps; cat /steps")
    for _ in range(2):  # what the failed step was given is given back once, and there for the next
        with pytest.raises(ExecError):
            fresh(rest, output=to_image("app:latest"))
        assert images(fresh) == []
        assert_clean(fresh.root)
    store = Store.open(fresh.root)
    kinds = {(record.kind, record.mutable) for record in store.gc.usage()}
    assert kinds <= {("snapshot", False), ("content", False), ("cache-mount", True), ("record", False)}
    (store.cache_mounts.current("//gate")[0].path / "tree" / "fixed").touch()
    store.close()
    fresh(rest)
    assert [name for name in fresh.ran if "echo" in name] == [
        "test -e /gate/fixed && echo 5 >> /steps",
        "echo 6 >> /steps",
        "echo 7 >> /steps; cat /steps",
    ]
    assert fresh.log.split() == list("1234567")


def test_d4_a_copy_from_an_image_leaves_nothing(fresh: Builder, tiny: State, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "file").write_text(unique())
    copied = scratch().copy(tiny.path("/etc/passwd"), "/p").copy(local(tmp_path / "src").path("file"), "/f")
    bound = tiny.run("cat /m/etc/passwd > /q").mount(bind(tiny, "/m"))
    fresh(copied.copy(bound.path("/q"), "/q"), output=to_oci(tmp_path / "out.tar"))
    assert mounts_below(fresh.root) == []
    assert_clean(fresh.root)
    store = Store.open(fresh.root)
    assert fsck(store) == []
    store.gc.prune(all=True)
    assert list(store.snapshots.walk()) == []
    assert os.listdir(store.root / "snapshots") == []
    store.close()
