import threading
from pathlib import Path

import pytest

from pybuild.errors import StoreError
from pybuild.store.locks import Locks
from pybuild.store.store import Store
from tests.fakes.processes import other_process


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    return Locks(tmp_path)


def test_exclusive_excludes_everybody(locks: Locks) -> None:
    with locks.exclusive("a"):
        assert locks.try_exclusive("a") is None
        assert locks.try_shared("a") is None
        with locks.exclusive("b"):
            pass


def test_shared_excludes_only_exclusive(locks: Locks) -> None:
    with locks.shared("a"), locks.shared("a", blocking=False):
        assert locks.try_exclusive("a") is None


def test_not_blocking_raises(locks: Locks) -> None:
    with locks.exclusive("a"):
        with pytest.raises(StoreError, match='"a" is locked'), locks.exclusive("a", blocking=False):
            pass
        with pytest.raises(StoreError, match='"a" is locked'), locks.shared("a", blocking=False):
            pass


def test_release_twice_is_fine(locks: Locks) -> None:
    handle = locks.try_exclusive("a")
    assert handle is not None
    handle.release()
    with locks.exclusive("a"):
        handle.release()
        assert locks.try_exclusive("a") is None


@pytest.mark.parametrize("kind", ["exclusive", "shared"])
def test_lock_files_vanish(locks: Locks, tmp_path: Path, kind: str) -> None:
    with getattr(locks, kind)("a"):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_last_shared_holder_removes_the_file(locks: Locks, tmp_path: Path) -> None:
    first, second = locks.try_shared("a"), locks.try_shared("a")
    assert first is not None
    assert second is not None
    first.release()
    assert locks.try_exclusive("a") is None
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_threads_exclude_each_other(locks: Locks) -> None:
    """A counter that is read and written back, with the lock file appearing and vanishing all the time."""
    total = 0

    def work() -> None:
        nonlocal total
        for _ in range(100):
            with locks.exclusive("counter"):
                seen = total
                threading.Event().wait(0)
                total = seen + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == 400


def test_processes_exclude_each_other(store: Store) -> None:
    script = """
for _ in range(200):
    with store.locks.exclusive("counter"):
        path = store.root / "tmp" / "counter"
        path.write_text(str(int(path.read_text()) + 1))
say("done")
"""
    counter = store.root / "tmp" / "counter"
    counter.write_text("0")
    with other_process(store.root, script) as first, other_process(store.root, script) as second:
        assert first.hear() == second.hear() == "done"
    assert counter.read_text() == "400"


def test_a_killed_holder_holds_nothing(store: Store) -> None:
    script = 'handle = store.locks.try_exclusive("a"); say("held"); wait()'
    with other_process(store.root, script) as other:
        assert other.hear() == "held"
        assert store.locks.try_exclusive("a") is None
        other.kill()
    with store.locks.exclusive("a", blocking=False):
        pass


def test_sweep_removes_what_killed_holders_left(store: Store) -> None:
    with other_process(store.root, 'handle = store.locks.try_exclusive("a"); say("held"); wait()') as other:
        other.hear()
        other.kill()
    with store.locks.exclusive("b"):
        store.locks.sweep()
        assert len(list((store.root / "locks").iterdir())) == 1
