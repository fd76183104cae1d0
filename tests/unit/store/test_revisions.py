"""What looks after the whole store knows that the directory of a predecessor is needed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.store.fsck import fsck
from pybuild.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in which "two" is a revision of "one"."""
    store = Store.open(tmp_path / "store", snapshotter="overlay")
    store.snapshots.prepare("active")
    for name in "abcdefgh":
        (store.snapshots.upper("active") / name).write_bytes(name.encode() * 10_000)
    store.snapshots.commit("one", "active")
    store.snapshots.prepare("active", revises="one", changes=1)
    (store.snapshots.upper("active") / "a").write_bytes(b"A")
    store.snapshots.commit("two", "active")
    yield store
    store.close()


def test_garbage_collection_keeps_it(store: Store) -> None:
    directories = store.snapshots.own("two")
    store.snapshots.remove("one")
    store.gc.clean()
    assert fsck(store, repair=True) == []
    assert store.snapshots.own("two") == directories
    assert (directories[1] / "b").is_file()


def test_pruning_tells_what_it_frees(store: Store) -> None:
    sizes = {record.id: record.size for record in store.gc.usage()}
    pruned = store.gc.prune()
    assert {record.id for record in pruned.removed} == {"one", "two"}
    assert pruned.freed == sizes["one"] + sizes["two"]
    assert list((store.root / "snapshots").iterdir()) == []


def test_a_damaged_predecessor_damages_the_revision(store: Store) -> None:
    store.snapshots.remove("one")
    (store.snapshots.own("two")[1] / "b").unlink()
    (finding,) = fsck(store, repair=True)
    assert (finding.kind, finding.id, finding.repaired) == ("snapshot", "two", True)
    assert list((store.root / "snapshots").iterdir()) == []
