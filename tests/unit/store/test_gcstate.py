"""When a collection is due: by size, by age, after a kill; and what every build pays for the question."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.errors import ConfigError
from pybuild.store import gcstate
from pybuild.store.disk import Disk
from pybuild.store.gcstate import State, is_due, note_collection, read_state, settle, write_state
from pybuild.store.store import Store
from tests.fakes.processes import other_process

GB = 1_000_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, as gcstate sees it."""
    now = [1_000_000.0]
    monkeypatch.setattr("pybuild.store.gcstate.time.time", lambda: now[0])
    return now


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much is free of a disk of 1 TB."""
    free = [500 * GB]
    monkeypatch.setattr(gcstate, "disk_of", lambda _: Disk(1000 * GB, free[0]))
    return free


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The configuration file; collecting is switched on."""
    path = tmp_path / "config.toml"
    path.write_text("")
    monkeypatch.setenv("PYBUILD_CONFIG", str(path))
    monkeypatch.delenv("PYBUILD_GC")
    return path


def add_blob(store: Store, size: int) -> None:
    with store.content.writer() as writer:
        writer.write(os.urandom(size))
        writer.commit()


def add_snapshot(store: Store, name: str, size: int) -> None:
    store.snapshots.prepare("active")
    (store.snapshots.upper("active") / "file").write_bytes(os.urandom(size))
    store.snapshots.commit(name, "active")


def test_a_new_store_is_not_due(store: Store, config: Path, clock: list[float], disk: list[int]) -> None:
    settle(store.root)
    assert not is_due(store)
    clock[0] += 86300
    assert not is_due(store)
    clock[0] += 200
    assert is_due(store)
    note_collection(store, 0)
    assert not is_due(store)


def test_a_store_of_which_nothing_is_known_is_due(
    store: Store, config: Path, clock: list[float], disk: list[int]
) -> None:
    add_blob(store, 1)
    settle(store.root)
    assert is_due(store)


def test_short_ages_are_looked_at_as_often(store: Store, config: Path, clock: list[float], disk: list[int]) -> None:
    config.write_text("[[gc.policy]]\nkeepDuration = '10m'\n")
    settle(store.root)
    clock[0] += 500
    assert not is_due(store)
    clock[0] += 200
    assert is_due(store)


@pytest.mark.parametrize("add", [add_blob, lambda store, size: add_snapshot(store, "tree", size)])
def test_what_is_added_counts_whatever_the_disk_says(
    store: Store,
    config: Path,
    clock: list[float],
    disk: list[int],
    add: object,
) -> None:
    assert callable(add)
    config.write_text("[gc]\nmaxUsedSpace = 100000\n")
    settle(store.root)
    disk[0] += GB  # others remove something meanwhile
    add_blob(store, 30_000)
    assert not is_due(store)
    add(store, 90_000)
    assert is_due(store)
    note_collection(store, 100_000, ["record"], 20_000)
    assert not is_due(store)


def test_space_that_is_lost_counts(store: Store, config: Path, clock: list[float], disk: list[int]) -> None:
    settle(store.root)
    disk[0] -= 99 * GB
    assert not is_due(store)
    disk[0] -= 2 * GB
    assert is_due(store)


def test_no_room_on_the_disk(store: Store, config: Path, clock: list[float], disk: list[int]) -> None:
    settle(store.root)
    write_state(store.root, (read_state(store.root) or State())._replace(size=50 * GB))
    assert not is_due(store)
    disk[0] = 100 * GB  # of which 20 % were to be free
    write_state(store.root, (read_state(store.root) or State())._replace(free=disk[0]))
    assert is_due(store)
    write_state(store.root, (read_state(store.root) or State())._replace(size=9 * GB))
    assert not is_due(store)  # that much is reserved


def test_what_cannot_be_made_smaller_is_tried_again_after_a_minute(
    store: Store, config: Path, clock: list[float], disk: list[int]
) -> None:
    config.write_text("[gc]\nmaxUsedSpace = 1000\n")
    settle(store.root)
    note_collection(store, 5000)
    assert not is_due(store)
    clock[0] += 61
    assert is_due(store)
    with store.leases.lease():  # a build held it: what it used can go as soon as it ends
        note_collection(store, 5000)
    assert is_due(store)


def test_leases_of_the_dead_are_due(store: Store, config: Path) -> None:
    settle(store.root)
    script = "with store.leases.lease() as lease:\n    say('held')\n    wait()\n"
    with other_process(store.root, script) as other:
        assert other.hear() == "held"
        assert not is_due(store)
        other.kill()
        assert is_due(store)
    store.gc.clean()
    assert not is_due(store)


def test_switched_off(store: Store, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_blob(store, 1)
    config.write_text("[gc]\nenabled = false\n")
    settle(store.root)
    assert not is_due(store)
    config.write_text("")
    settle(store.root)
    assert is_due(store)
    monkeypatch.setenv("PYBUILD_GC", "off")
    assert not is_due(store)


def test_a_wrong_configuration_stops_a_build_until_it_is_right(store: Store, config: Path) -> None:
    config.write_text("[gc]\nmaxUsedSpace = 'much'\n")
    for _ in range(2):
        with pytest.raises(ConfigError):
            settle(store.root)
    config.write_text("[gc]\nmaxUsedSpace = '1GB'\n")
    settle(store.root)
    assert read_state(store.root) is not None


def test_the_configuration_is_read_once(store: Store, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(store.root)
    monkeypatch.setattr("pybuild.store.gcsettings.read_policy", lambda _: pytest.fail("read again"))
    settle(store.root)


def test_the_store_is_measured_once(store: Store, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_blob(store, 100)
    settle(store.root)
    note_collection(store, 100)
    monkeypatch.setattr("pybuild.store.gcstate.os.scandir", lambda _: pytest.fail("measured again"))
    assert not is_due(store)


def test_a_damaged_state_is_made_again(store: Store, config: Path) -> None:
    (store.root / "collected").write_text("checked yesterday\n")
    assert read_state(store.root) is None
    settle(store.root)
    assert read_state(store.root) is not None
