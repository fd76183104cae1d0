from datetime import timedelta

from pybuild.protocols import CacheRecord, Ref
from pybuild.store.store import Store
from tests.fakes.processes import other_process


def count(store: Store, table: str) -> int:
    return int(store.database.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def save_result(store: Store, key: str, snapshot: str) -> None:
    store.cache.save(
        CacheRecord(
            result_key=key,
            ref=Ref(snapshot=snapshot),
            description="",
            created=1.0,
            last_used=1.0,
            usage_count=1,
            duration=0.0,
        ),
        (),
    )


def test_a_lease_leaves_nothing_behind(store: Store) -> None:
    with store.leases.lease() as lease:
        lease.add("snapshot", "a")
        assert store.leases.is_alive(lease.id)
        assert count(store, "lease_refs") == 1
    assert not store.leases.is_alive(lease.id)
    assert (count(store, "leases"), count(store, "lease_refs")) == (0, 0)
    assert list((store.root / "leases").iterdir()) == []


def test_it_lives_as_long_as_its_process(store: Store) -> None:
    script = """
with store.leases.lease() as lease:
    lease.add("snapshot", "a")
    say(lease.id)
    wait()
"""
    with other_process(store.root, script) as other:
        lease_id = other.hear()
        assert store.leases.is_alive(lease_id)
        store.leases.sweep()
        assert count(store, "lease_refs") == 1
        other.kill()
    assert not store.leases.is_alive(lease_id)
    store.leases.sweep()
    assert (count(store, "leases"), count(store, "lease_refs")) == (0, 0)
    assert list((store.root / "leases").iterdir()) == []


def test_time_to_live_outlives_a_crash(store: Store) -> None:
    script = """
from datetime import timedelta
with store.leases.lease(ttl=timedelta(seconds={ttl})) as lease:
    say(lease.id)
    wait()
"""
    alive = {}
    for ttl in (3600, -1):
        with other_process(store.root, script.format(ttl=ttl)) as other:
            lease_id = other.hear()
            other.kill()
        alive[ttl] = store.leases.is_alive(lease_id)
    assert alive == {3600: True, -1: False}
    store.leases.sweep()
    assert count(store, "leases") == 1


def test_a_held_lease_outlives_its_time(store: Store) -> None:
    with store.leases.lease(ttl=timedelta(seconds=-1)) as lease:
        store.leases.sweep()
        lease.add("content", "x")


def test_owner_is_one_per_store_until_closed(store: Store) -> None:
    assert store.leases.current_owner == ""
    owner = store.leases.owner()
    assert store.leases.owner() == owner == store.leases.current_owner
    assert store.leases.is_alive(owner)
    store.close()
    assert not store.leases.is_alive(owner)


def test_hold_result_holds_its_snapshot(store: Store) -> None:
    store.snapshots.prepare("active")
    store.snapshots.commit("tree", "active")
    save_result(store, "result", "tree")
    with store.leases.lease() as lease:
        record = lease.hold_result("result")
        assert record is not None
        assert record.ref == Ref(snapshot="tree")
        assert store.gc.prune(all=True).removed == ()
    assert [record.id for record in store.gc.prune(all=True).removed] == ["tree"]


def test_hold_result_refuses_what_is_gone(store: Store) -> None:
    save_result(store, "result", "missing")
    with store.leases.lease() as lease:
        assert lease.hold_result("result") is None
        assert count(store, "lease_refs") == 0
