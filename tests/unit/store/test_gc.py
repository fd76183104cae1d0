import os
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from pybuild.digest import Digest
from pybuild.errors import StoreError
from pybuild.llb.mounts import Sharing
from pybuild.protocols import CacheLink, CacheRecord, Ref
from pybuild.store import gc, snapshots
from pybuild.store.gcpolicy import Limits, Rule, Space
from pybuild.store.recordfilter import parse_filter
from pybuild.store.steplogs import write_log
from pybuild.store.store import Store
from pybuild.store.usage import UsageRecord, labelled_content
from tests.fakes.processes import other_process


def tree(store: Store, name: str, parent: str = "", *, size: int = 0, labels: Mapping[str, str] | None = None) -> str:
    store.snapshots.prepare(f"active-{name}", parent)
    if size:
        (store.snapshots.upper(f"active-{name}") / name).write_bytes(b"x" * size)
    store.snapshots.commit(name, f"active-{name}", labels=labels)
    return name


def result(store: Store, key: str, snapshot: str, *, last_used: float = 1.0, usage_count: int = 1) -> None:
    record = CacheRecord(
        result_key=key,
        ref=Ref(snapshot=snapshot),
        description=f"step {key}",
        created=1.0,
        last_used=last_used,
        usage_count=usage_count,
        duration=0.0,
    )
    store.cache.save(record, [CacheLink(input_key=key, input_index=0, op_digest="op", output=0)])


def blob(store: Store, data: bytes) -> Digest:
    with store.content.writer() as writer:
        writer.write(data)
        return writer.commit().digest


def cache_mount(store: Store, cache_id: str = "pip") -> Path:
    taken = store.cache_mounts.try_acquire(cache_id, "", Sharing.SHARED, lambda _: None)
    assert taken is not None
    (taken.path / "file").write_text("cached")
    taken.release()
    return taken.path


def ids(store: Store) -> list[str]:
    return [record.id for record in store.gc.usage()]


def test_usage_lists_everything(store: Store) -> None:
    tree(store, "base", size=50_000)
    result(store, "r", "base", last_used=time.time() + 10, usage_count=7)
    digest = blob(store, b"data")
    cache_mount(store)
    with store.content.writer() as writer:
        writer.write(b"unfinished")
        records = {record.kind: record for record in store.gc.usage()}
    assert set(records) == {"snapshot", "content", "cache-mount", "ingest"}
    snapshot = records["snapshot"]
    assert (snapshot.id, snapshot.description, snapshot.usage_count) == ("base", "step r", 7)
    assert snapshot.size >= 50_000
    assert not snapshot.in_use
    assert (records["content"].id, records["content"].size) == (digest, 4)
    assert records["cache-mount"].description == "cache mount pip"
    assert records["ingest"].in_use


def test_prune_removes_what_nobody_uses(store: Store) -> None:
    tree(store, "base", size=5000)
    tree(store, "top", "base", size=5000)
    result(store, "r", "top")
    blob(store, b"data")
    mount = cache_mount(store)
    told: list[str] = []
    pruned = store.gc.prune(report=lambda record: told.append(record.id))
    assert ids(store) == []
    assert pruned.freed >= 10_004
    assert [record.id for record in pruned.removed] == told
    assert told.index("top") < told.index("base")
    assert not mount.exists()
    assert os.listdir(store.root / "snapshots") == os.listdir(store.root / "tmp") == []
    for table in ("results", "links", "snapshots"):
        assert store.database.connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_leases_protect(store: Store) -> None:
    for name in ("base", "other"):
        tree(store, name)
    tree(store, "top", "base")
    result(store, "r", "top")
    held, loose = blob(store, b"held"), blob(store, b"loose")
    with store.leases.lease() as lease:
        lease.add("result", "r")
        lease.add("content", held)
        in_use = {record.id for record in store.gc.usage() if record.in_use}
        assert in_use == {"base", "top", held}
        assert {record.id for record in store.gc.prune(all=True).removed} == {"other", loose}
    assert {record.id for record in store.gc.prune(all=True).removed} == {"base", "top", held}


def test_unfinished_snapshots_protect_their_parents(store: Store) -> None:
    tree(store, "base")
    store.snapshots.prepare("active", "base")
    assert store.gc.prune(all=True).removed == ()
    assert store.snapshots.stat("base").key == "base"


def test_what_another_process_just_made_is_in_use(store: Store) -> None:
    script = """
store.snapshots.prepare("active")
store.snapshots.commit("tree", "active")
store.snapshots.prepare("unfinished", "tree")
with store.content.writer() as writer:
    writer.write(b"unfinished" * 100_000)
    say("made")
    wait()
"""
    with other_process(store.root, script) as other:
        assert other.hear() == "made"
        assert store.gc.prune(all=True).removed == ()
        assert sorted(record.kind for record in store.gc.usage()) == ["ingest", "snapshot", "snapshot"]
        other.kill()
    assert [record.id for record in store.gc.prune(all=True).removed] == ["tree"]
    assert ids(store) == []
    for folder in ("ingest", "tmp", "snapshots"):
        assert os.listdir(store.root / folder) == []
    assert os.listdir(store.root / "leases") == [store.leases.current_owner]


def test_directories_without_rows_are_removed(store: Store) -> None:
    tree(store, "base")
    (store.root / "snapshots" / "99" / "fs" / "d").mkdir(parents=True)
    store.gc.clean()
    assert os.listdir(store.root / "snapshots") == ["1"]


def test_results_without_snapshots_are_removed(store: Store) -> None:
    result(store, "gone", "gone")
    result(store, "empty", "")
    store.gc.clean()
    rows = store.database.connection.execute("SELECT result_key FROM links").fetchall()
    assert rows == [("empty",)]


def test_keep_bytes_removes_the_least_valuable_first(store: Store) -> None:
    for number, (age, count) in enumerate([(1.0, 1), (2.0, 1), (3.0, 1), (1.0, 50)]):
        tree(store, f"t{number}", size=100_000)
        result(store, f"r{number}", f"t{number}", last_used=age, usage_count=count)
    total = sum(record.size for record in store.gc.usage())
    pruned = store.gc.prune(keep_bytes=total - 150_000)
    assert [record.id for record in pruned.removed] == ["t0", "t1"]
    assert store.gc.prune(keep_bytes=total).removed == ()


def test_older_than(store: Store) -> None:
    now = time.time()
    for name, age in (("old", 7200), ("young", 60)):
        tree(store, name)
        result(store, name, name, last_used=now - age)
    pruned = store.gc.prune(older_than=timedelta(hours=1))
    assert [record.id for record in pruned.removed] == ["old"]


def test_shared_layers_only_with_all(store: Store) -> None:
    overlay = Store.open(store.root.with_name("overlay"), snapshotter="overlay")
    tree(overlay, "change", size=10_000)
    overlay.snapshots.restack("copy", "", "change")
    assert all(record.shared for record in overlay.gc.usage())
    assert overlay.gc.prune().removed == ()
    pruned = overlay.gc.prune(all=True)
    assert [record.id for record in pruned.removed] == ["change", "copy"]
    assert 10_000 <= pruned.freed < 20_000
    overlay.close()


def test_blobs_belong_to_snapshots_by_label(store: Store) -> None:
    digest = blob(store, b"layer")
    tree(store, "base", labels={"blob": digest})
    with store.leases.lease() as lease:
        lease.add("snapshot", "base")
        assert store.gc.prune().removed == ()
        assert store.content.info(digest).size == 5
    assert {record.id for record in store.gc.prune().removed} == {"base", digest}


@pytest.mark.parametrize(
    ("filters", "removed"),
    [
        ({"id": "base"}, ["base"]),
        ({"kind": "snapshot"}, ["base", "other"]),
        ({"type": "cache-mount"}, ["mount"]),
        ({"description": "step r"}, ["base"]),
        ({"mutable": ""}, ["mount"]),
        ({"immutable": "true", "private": "true"}, ["base", "other"]),
        ({"shared": "true"}, []),
        ({"inuse": "true"}, []),
    ],
)
def test_filters(store: Store, filters: dict[str, str], removed: list[str]) -> None:
    for name in ("base", "other"):
        tree(store, name)
    result(store, "r", "base")
    cache_mount(store)
    found = store.gc.prune(filters=filters).removed
    assert sorted("mount" if record.kind == "cache-mount" else record.id for record in found) == removed


def test_unknown_filter(store: Store) -> None:
    cache_mount(store)
    with pytest.raises(StoreError, match='unknown filter "colour"') as caught:
        store.gc.prune(filters={"colour": "red"})
    assert "description" in caught.value.hint


def test_cache_mounts_in_use_stay(store: Store) -> None:
    taken = store.cache_mounts.try_acquire("pip", "", Sharing.LOCKED, lambda _: None)
    assert taken is not None
    assert store.gc.prune(all=True).removed == ()
    taken.release()
    assert len(store.gc.prune(all=True).removed) == 1


def test_long_chains_are_pruned_leaf_first(store: Store) -> None:
    tree(store, "0")
    with store.database.write() as connection:
        connection.executemany(
            "INSERT INTO snapshots (key, parent, kind, directory, flat, depth, owner, created, size, inodes)"
            " VALUES (?, ?, 'committed', 0, 0, 1, '', 0, 0, 0)",
            [(str(number), str(number - 1)) for number in range(1, 2000)],
        )
    assert len(store.gc.prune(all=True).removed) == 2000
    assert list(store.snapshots.walk()) == []


def test_pruning_beside_builds(store: Store) -> None:
    """Builds that look a result up under a lease find its tree for as long as they hold it."""
    script = """
from pybuild.protocols import CacheRecord, Ref
say("ready")
lost = used = 0
for number in range(60):
    with store.leases.lease() as lease:
        record = lease.hold_result("r")
        if record is None:
            name = f"tree-{number}"
            lease.add("snapshot", name)
            store.snapshots.prepare("active-" + name)
            store.snapshots.commit(name, "active-" + name)
            store.cache.save(CacheRecord(result_key="r", ref=Ref(snapshot=name), description="", created=1.0,
                last_used=1.0, usage_count=1, duration=0.0), ())
            record = lease.hold_result("r")
        if record is None or not store.snapshots.upper(record.ref.snapshot).is_dir():
            lost += 1
        store.snapshots.prepare(f"child-{number}", record.ref.snapshot)
        store.snapshots.remove(f"child-{number}")
        used += 1
    store.leases.close()
say(f"{used} {lost}")
"""
    with other_process(store.root, script) as other:
        assert other.hear() == "ready"
        rounds = 0
        import select

        assert other._process.stdout is not None
        while not select.select([other._process.stdout], [], [], 0)[0]:
            store.gc.prune(all=True)
            rounds += 1
        assert other.hear() == "60 0"
    assert rounds > 0


def test_records_of_builds_are_counted_and_go_with_all(store: Store) -> None:
    for place in ("builds/target", "contexts/directory"):
        (store.root / place).write_bytes(b"x" * 5000)
    records = store.gc.usage()
    assert {record.id: record.type for record in records} == {
        "builds/target": "internal",
        "contexts/directory": "internal",
    }
    assert all(record.size >= 5000 for record in records)
    assert store.gc.prune().removed == ()
    assert [record.id for record in store.gc.prune(all=True).removed] == ["contexts/directory"]
    os.utime(store.root / "builds/target", (1.0, 1.0))
    (store.root / "builds" / "new").touch()
    assert [record.id for record in store.gc.prune(all=True).removed] == ["builds/target"]
    assert [record.id for record in store.gc.prune(all=True, filters={"type": "internal"}).removed] == ["builds/new"]
    assert ids(store) == []


def test_the_log_of_a_step_counts_with_its_snapshot(store: Store) -> None:
    store.snapshots.prepare("active")
    write_log(store, "active", os.urandom(50_000))
    store.snapshots.commit("step", "active")
    assert store.gc.usage()[0].size >= 50_000
    store.gc.prune()
    assert ids(store) == []
    assert list((store.root / "snapshots").iterdir()) == []


def test_something_strange_among_the_snapshots_goes(store: Store) -> None:
    tree(store, "base")
    result(store, "r", "base")
    (store.root / "snapshots" / "lost+found").mkdir()
    store.gc.clean()
    assert [path.name for path in (store.root / "snapshots").iterdir()] == ["1"]


def test_many_blobs_are_pruned_with_one_look_at_the_labels(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    kept = blob(store, b"kept")
    for number in range(50):
        blob(store, b"%d" % number)
    tree(store, "base", labels={"layer.origin": kept})

    def counted(store: Store) -> Counter[str]:
        looks.append(1)
        return labelled_content(store)

    monkeypatch.setattr(gc, "labelled_content", counted)
    with store.leases.lease() as lease:
        lease.add("snapshot", "base")
        assert len(store.gc.prune(all=True).removed) == 50
    assert len(looks) == 1
    assert ids(store) == ["base", kept] or ids(store) == [kept, "base"]


def test_a_blob_labelled_while_others_are_pruned_stays(store: Store) -> None:
    blobs = [blob(store, b"%d" % number) for number in range(30)]
    for number, digest in enumerate(blobs):  # the order in which they go
        os.utime(store.content.path(digest), (number, number))
    tree(store, "base")
    other = Store.open(store.root)

    def label(record: UsageRecord) -> None:
        if record.id == blobs[0]:
            other.snapshots.set_labels("base", {"layer.origin": blobs[-1]})

    with store.leases.lease() as lease:
        lease.add("snapshot", "base")
        store.gc.prune(all=True, report=label)
    other.close()
    assert [record.id for record in store.gc.usage() if record.kind == "content"] == [blobs[-1]]


def test_files_of_subordinate_ids_are_left_to_who_owns_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    tree(store, "base")
    tree(store, "other")
    monkeypatch.setattr(snapshots, "remove_tree", refused)
    assert {record.id for record in store.gc.prune().removed} == {"base", "other"}
    assert len(list((store.root / "tmp").iterdir())) == 2
    monkeypatch.undo()
    store.close()
    again = Store.open(store.root)
    again.gc.clean()
    assert list((store.root / "tmp").iterdir()) == []
    again.close()


def test_no_transaction_removes_more_than_ten_records(store: Store) -> None:
    """So that a build never waits for longer than it takes to delete ten rows."""
    for number in range(35):
        tree(store, f"t{number}")
        result(store, f"r{number}", f"t{number}")
        blob(store, b"%d" % number)
    removed: list[int] = []

    def note(statement: str) -> None:
        if statement.startswith("BEGIN"):
            removed.append(0)
        elif statement.startswith("DELETE FROM snapshots"):
            removed[-1] += 1

    store.database.connection.set_trace_callback(note)
    assert len(store.gc.prune(all=True).removed) == 70
    store.database.connection.set_trace_callback(None)
    assert sum(removed) == 35
    assert max(removed) <= 10


def test_a_policy_is_applied_rule_by_rule(store: Store) -> None:
    now = time.time()
    cache_mount(store)
    for name, days in (("new", 0), ("old", 5), ("ancient", 70)):
        tree(store, name, size=100_000)
        result(store, name, name, last_used=now - days * 86400)
    ages = Rule(keep_seconds=60 * 86400.0)
    mounts = Rule(filters=(parse_filter("type=exec.cachemount"),), limits=Limits(max_used=Space(1)))
    total = sum(record.size for record in store.gc.usage())
    small = Rule(limits=Limits(max_used=Space(total - 150_000)))
    planned = [each.record.id for each in store.gc.plan([mounts, ages, small])]
    done = store.gc.collect([mounts, ages, small])
    assert [record.id for record in done.removed] == planned
    assert [record.kind for record in done.removed] == ["cache-mount", "snapshot", "snapshot"]
    assert [record.id for record in store.gc.usage()] == ["new"]
    assert done.left == sum(record.size for record in store.gc.usage())


def test_a_blob_goes_with_the_last_of_its_snapshots(store: Store) -> None:
    digest = blob(store, b"x" * 50_000)
    os.utime(store.content.path(digest), (1.0, 1.0))
    for name, age in (("one", 1.0), ("two", 2.0), ("three", 3.0)):
        tree(store, name, size=50_000, labels={"layer.origin": digest} if name != "three" else None)
        result(store, name, name, last_used=age)
    total = sum(record.size for record in store.gc.usage())
    done = store.gc.prune(keep_bytes=total - 120_000)
    assert [record.id for record in done.removed] == ["one", "two", digest]


def test_a_collection_stops_when_its_time_is_up(store: Store) -> None:
    for number in range(25):
        tree(store, f"t{number}")
    assert store.gc.collect([Rule(all=True)], until=time.monotonic()).removed == ()
    assert len(store.gc.collect([Rule(all=True)]).removed) == 25
