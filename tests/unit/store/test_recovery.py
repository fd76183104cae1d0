import os
import shutil
from pathlib import Path

import pytest

from pybuild.errors import NotFound
from pybuild.store import recovery
from pybuild.store.fsck import fsck
from pybuild.store.store import Store
from tests.unit.store.test_fsck import filled


def restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if the machine had been started again."""
    boot = tmp_path / "boot_id"
    boot.write_text("another")
    monkeypatch.setattr(recovery, "_BOOT_ID", boot)


def made(store: Store, key: str, created: float) -> None:
    with store.database.write() as connection:
        connection.execute("UPDATE snapshots SET created = ? WHERE key = ?", (created, key))


def test_what_did_not_reach_the_disk_before_a_restart_is_made_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store)
    made(store, "alone", 1.0)
    for key in ("top", "alone"):
        os.truncate(store.snapshots.upper(key) / key, 0)
    store.close()
    assert Store.open(store.root).cache.load("result-top") is not None, "looked at in every open"
    restart(monkeypatch, tmp_path)
    again = Store.open(store.root)
    with pytest.raises(NotFound):
        again.snapshots.stat("top")
    assert again.cache.load("result-top") is None
    assert again.cache.load("result-base") is not None
    assert again.cache.load("result-alone") is not None, "what is old was written out before the restart"
    assert not recovery.is_elsewhere(store.root)
    again.close()


def test_a_copy_is_looked_at_as_a_whole(store: Store, tmp_path: Path) -> None:
    filled(store)
    made(store, "alone", 1.0)
    store.close()
    copied = tmp_path / "copy"
    shutil.copytree(store.root, copied)
    os.truncate(copied / "snapshots" / "3" / "fs" / "alone", 0)
    shutil.rmtree(copied / "snapshots" / "2")
    shutil.rmtree(copied / "git")
    again = Store.open(copied)
    assert {info.key for info in again.snapshots.walk()} == {"base"}
    assert [record.result_key for record in again.cache.records()] == ["result-base"]
    assert (copied / "git").is_dir()
    again.close()
    assert {info.key for info in Store.open(store.root).snapshots.walk()} == {"base", "top", "alone"}


def test_a_copy_with_half_a_database_is_usable(store: Store, tmp_path: Path) -> None:
    filled(store)
    store.close()
    copied = tmp_path / "copy"
    shutil.copytree(store.root, copied)
    os.truncate(copied / "store.db", 8192)
    again = Store.open(copied)
    assert again.gc.usage()
    assert list(again.snapshots.walk()) == []
    again.close()


def test_a_store_of_an_older_version_stays_as_it_is(store: Store) -> None:
    filled(store)
    store.database.connection.execute("DROP TABLE seals")
    store.close()
    (store.root / "place").unlink()
    again = Store.open(store.root)
    assert {info.key for info in again.snapshots.walk()} == {"base", "top", "alone"}
    assert fsck(again) == []
    again.close()
