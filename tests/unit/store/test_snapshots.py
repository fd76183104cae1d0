import contextlib
import os

import pytest

from pybuild.errors import AlreadyExists, NotFound, StoreError
from pybuild.protocols import SnapshotKind
from pybuild.store.store import Store
from tests.fakes.processes import other_process


def test_labels(store: Store) -> None:
    store.snapshots.prepare("active", labels={"a": "1"})
    store.snapshots.commit("tree", "active", labels={"b": "2"})
    store.snapshots.set_labels("tree", {"a": "3"})
    assert store.snapshots.stat("tree").labels == (("a", "3"), ("b", "2"))
    with pytest.raises(NotFound):
        store.snapshots.set_labels("other", {})


def test_a_view_has_no_directory_of_its_own(store: Store) -> None:
    store.snapshots.prepare("active")
    store.snapshots.commit("tree", "active")
    store.snapshots.view("view", "tree")
    with pytest.raises(StoreError, match="no directory of its own"):
        store.snapshots.upper("view")
    assert store.snapshots.usage("view").size == 0


def test_what_refuses_leaves_nothing(store: Store) -> None:
    store.snapshots.prepare("active")
    with pytest.raises(AlreadyExists):
        store.snapshots.prepare("active")
    assert len(os.listdir(store.root / "snapshots")) == 1
    assert os.listdir(store.root / "tmp") == []


def test_a_number_given_back_by_a_crash_is_used_again(store: Store) -> None:
    """A process died after moving its directory into place and before its row was written."""
    (store.root / "snapshots" / "1" / "fs").mkdir(parents=True)
    (store.root / "snapshots" / "1" / "fs" / "stale").touch()
    store.snapshots.prepare("active")
    assert os.listdir(store.snapshots.upper("active")) == []


def test_long_chains(store: Store) -> None:
    """Rows alone: what reads a chain must not recurse, nor read more than it needs."""
    store.snapshots.prepare("active")
    store.snapshots.commit("0", "active")
    with store.database.write() as connection:
        connection.executemany(
            "INSERT INTO snapshots (key, parent, kind, directory, flat, depth, owner, created)"
            " VALUES (?, ?, 'committed', 1, 0, 1, '', 0)",
            [(str(number), str(number - 1)) for number in range(1, 20_000)],
        )
    assert len(store.snapshots.parents("19999")) == 20_000
    assert [info.key for info in store.snapshots.walk()] == [str(number) for number in range(20_000)]


def test_two_processes_commit_one_name(store: Store) -> None:
    script = """
import os
from pybuild.errors import AlreadyExists
for number in range(30):
    key = f"active-{number}-{os.getpid()}"
    store.snapshots.prepare(key)
    (store.snapshots.upper(key) / "writer").write_text(str(os.getpid()))
    try:
        store.snapshots.commit(f"tree{number}", key)
    except AlreadyExists:
        store.snapshots.remove(key)
say("done")
"""
    with other_process(store.root, script) as first, other_process(store.root, script) as second:
        assert first.hear() == second.hear() == "done"
    infos = list(store.snapshots.walk())
    assert sorted(info.key for info in infos) == sorted(f"tree{number}" for number in range(30))
    assert all(info.kind is SnapshotKind.COMMITTED for info in infos)
    assert len(os.listdir(store.root / "snapshots")) == 30
    assert all((store.snapshots.upper(info.key) / "writer").exists() for info in infos)


@pytest.mark.parametrize("delay", [0, 1, 3, 7, 15, 30, 60])
def test_kill_in_the_middle_leaves_no_half_commit(store: Store, delay: int) -> None:
    script = """
say("start")
parent = ""
for number in range(10_000):
    store.snapshots.prepare(f"active{number}", parent)
    upper = store.snapshots.upper(f"active{number}")
    for name in ("first", "second"):
        (upper / f"{number}-{name}").write_text("text")
    store.snapshots.commit(f"tree{number}", f"active{number}")
    if number % 3:
        store.snapshots.remove(f"tree{number}")
    else:
        parent = f"tree{number}"
"""
    with other_process(store.root, script) as other:
        other.hear()
        with contextlib.suppress(Exception):  # still running, as expected
            other._process.wait(delay / 1000)
        other.kill()
    store.gc.clean()
    infos = list(store.snapshots.walk())
    assert all(info.kind is SnapshotKind.COMMITTED for info in infos)
    for info in infos:
        files = os.listdir(store.snapshots.upper(info.key))
        number = info.key.removeprefix("tree")
        assert {f"{number}-first", f"{number}-second"} <= set(files)
    assert len(os.listdir(store.root / "snapshots")) == len(infos)
    assert os.listdir(store.root / "tmp") == []
