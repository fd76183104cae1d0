import attrs

from pybuild.protocols import CacheLink, CacheRecord, Ref
from pybuild.store.store import Store

LINK = CacheLink(input_key="input", input_index=0, op_digest="op", output=0)
RECORD = CacheRecord(
    result_key="result",
    ref=Ref(snapshot=""),
    description="make",
    created=1.0,
    last_used=2.0,
    usage_count=3,
    duration=4.0,
)


def test_load_wants_the_snapshot(store: Store) -> None:
    store.cache.save(attrs.evolve(RECORD, ref=Ref(snapshot="tree")), [LINK])
    assert store.cache.load("result") is None
    store.snapshots.prepare("tree")
    assert store.cache.load("result") is None
    store.snapshots.commit("committed", "tree")
    store.cache.save(attrs.evolve(RECORD, ref=Ref(snapshot="committed")), [LINK])
    assert store.cache.load("result") is not None
    store.snapshots.remove("committed")
    assert store.cache.load("result") is None
    assert list(store.cache.records()) == []


def test_touch(store: Store) -> None:
    store.cache.save(RECORD, [LINK])
    store.cache.touch(["result", "unknown"])
    store.cache.touch([])
    found = store.cache.load("result")
    assert found is not None
    assert found.usage_count == 4
    assert found.last_used > 1_000_000


def test_forget(store: Store) -> None:
    store.cache.save(RECORD, [LINK])
    store.cache.forget("result")
    store.cache.forget("result")
    assert store.cache.load("result") is None
    assert store.cache.query(LINK) == []


def test_records_are_oldest_first(store: Store) -> None:
    for number in (3, 1, 2):
        store.cache.save(attrs.evolve(RECORD, result_key=f"r{number}", last_used=float(number)), ())
    assert [record.result_key for record in store.cache.records()] == ["r1", "r2", "r3"]


def test_estimate_is_the_last_duration(store: Store) -> None:
    assert store.cache.estimate("op") == 0.0
    store.cache.save(RECORD, [LINK])
    store.cache.save(attrs.evolve(RECORD, result_key="again", duration=5.0), [attrs.evolve(LINK, input_key="x")])
    store.cache.forget("again")
    assert store.cache.estimate("op") == 5.0


def test_lookups_use_an_index(store: Store) -> None:
    from pybuild.store import cache

    _ = store.cache
    plan = store.database.connection.execute(f"EXPLAIN QUERY PLAN {cache._QUERY}", ("a", "b", 0, 0, "")).fetchall()
    assert all("SEARCH" in str(row[3]) for row in plan)
