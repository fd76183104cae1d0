import json
import os
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild.digest import Digest
from pybuild.errors import NotFound, StoreDamaged, StoreError
from pybuild.oci.descriptor import Descriptor
from pybuild.store.finding import Finding
from pybuild.store.fsck import fsck
from pybuild.store.store import Store
from tests.fakes.processes import other_process
from tests.unit.store.test_gc import blob, cache_mount, result, tree


def filled(store: Store) -> Digest:
    """A store with something of everything: snapshots base <- top and alone, results, a blob, a cache mount."""
    layer = blob(store, b"layer")
    tree(store, "base", size=5, labels={"layer.gzip..": layer, "layer.gzip...type": "t", "layer.gzip...diff": "d"})
    tree(store, "top", "base", size=5)
    tree(store, "alone", size=5)
    for key in ("base", "top", "alone"):
        result(store, f"result-{key}", key)
    cache_mount(store)
    store.images.put("image", Descriptor(media_type="m", digest=layer, size=5), [layer])
    (store.root / "builds" / "record").write_bytes(b"m" * 64 + zlib.compress(b"x"))
    return layer


def problems(found: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.kind, finding.id) for finding in found}


def age(path: Path) -> None:
    os.utime(path, (time.time() - 60,) * 2)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    age(path)


def directory_of(store: Store, key: str) -> Path:
    return store.snapshots.upper(key).parent


def test_a_good_store_has_no_problems(store: Store) -> None:
    filled(store)
    write(store.root / "builds" / "abc.log", b"what the last build printed")
    assert fsck(store) == []
    before = store.gc.usage()
    assert fsck(store, repair=True) == []
    assert store.gc.usage() == before


SQL = {
    "a result that leads nowhere": (
        "INSERT INTO results VALUES ('lost', 'no such', '', 1, 1, 1, 1)",
        {("result", "lost")},
    ),
    "links without a result": ("INSERT INTO links VALUES ('i', 0, 'o', 0, '', 'lost')", {("result", "lost")}),
    "a snapshot without its parent": (
        "UPDATE snapshots SET parent = 'no such' WHERE key = 'base'",
        {("snapshot", "base"), ("snapshot", "top")},
    ),
    "a snapshot with another's directory": (
        "UPDATE snapshots SET directory = 99 WHERE key = 'alone'",
        {("snapshot", "alone"), ("directory", "snapshots/3")},
    ),
    "an image without its blobs": (
        "INSERT INTO images VALUES ('half', 'sha256:0', 'm', 1, 1);INSERT INTO image_blobs VALUES ('half', 'sha256:0')",
        {("image", "half")},
    ),
    "an unfinished snapshot whose directory was lost, or not copied": (
        "INSERT INTO snapshots VALUES ('half', '', 'active', 88, 0, 1, '0123456789abcdef', 1, -1, -1, '{}')",
        {("unfinished", "half")},
    ),
    "a dead lease": ("INSERT INTO leases VALUES ('0123456789abcdef', 1, 1)", {("lease", "0123456789abcdef")}),
}


@pytest.mark.parametrize("case", SQL)
def test_rows(store: Store, case: str) -> None:
    filled(store)
    script, expected = SQL[case]
    with sqlite3.connect(store.root / "store.db") as connection:
        connection.executescript(script)
    found = fsck(store)
    assert problems(found) == expected
    assert not any(finding.repaired for finding in found)
    assert problems(fsck(store)) == expected, "looking changed something"
    repaired = fsck(store, repair=True)
    assert problems(repaired) == expected
    assert all(finding.repaired for finding in repaired)
    assert fsck(store) == []
    alone = any(name == "alone" for _, name in expected)
    assert (store.cache.load("result-alone") is None) == alone, "something good was removed"


FILES: dict[str, tuple[Callable[[Store], object], set[tuple[str, str]]]] = {
    "a snapshot's directory is gone": (
        lambda store: shutil.rmtree(directory_of(store, "base")),
        {("snapshot", "base"), ("snapshot", "top")},
    ),
    "a file of a snapshot is gone": (
        lambda store: (store.snapshots.upper("top") / "top").unlink(),
        {("snapshot", "top")},
    ),
    "a file of a snapshot was cut short": (
        lambda store: os.truncate(store.snapshots.upper("top") / "top", 0),
        {("snapshot", "top")},
    ),
    "a file of a snapshot was written": (
        lambda store: (store.snapshots.upper("top") / "top").write_bytes(b"yyyyy"),
        {("snapshot", "top")},
    ),
    "a file was added to a snapshot": (
        lambda store: (store.snapshots.upper("top") / "new").touch(),
        {("snapshot", "top")},
    ),
    "a directory without a row": (
        lambda store: (store.root / "snapshots" / "77" / "fs").mkdir(parents=True),
        {("directory", "snapshots/77")},
    ),
    "something strange among the directories": (
        lambda store: (store.root / "snapshots" / "lost+found").mkdir(),
        {("leftover", "snapshots/lost+found")},
    ),
    "an unfinished blob": (
        lambda store: write(store.root / "ingest" / "0123456789abcdef-1", b"x"),
        {("leftover", "ingest/0123456789abcdef-1")},
    ),
    "temporary files": (
        lambda store: write(store.root / "tmp" / "0123456789abcdef-1" / "fs" / "file", b"x"),
        {("leftover", "tmp/0123456789abcdef-1")},
    ),
    "a lease's file": (
        lambda store: write(store.root / "leases" / "0123456789abcdef.new", b""),
        {("lease", "0123456789abcdef.new")},
    ),
    "a lock's file": (lambda store: write(store.root / "locks" / "abc", b""), {("lock", "abc")}),
    "a half-written version": (lambda store: write(store.root / "version.new", b"1"), {("leftover", "version.new")}),
    "a half-written record": (
        lambda store: write(store.root / "builds" / "abc.log.1234abcd", b""),
        {("leftover", "builds/abc.log.1234abcd")},
    ),
    "a record that was cut short": (
        lambda store: write(store.root / "builds" / "abc", b"short"),
        {("record", "builds/abc")},
    ),
    "an index that was cut short": (
        lambda store: write(store.root / "contexts" / "abc", b""),
        {("record", "contexts/abc")},
    ),
    "a half-made cache mount": (
        lambda store: write(store.root / "cache-mounts" / "x" / "0" / "new-1-1" / "file", b""),
        {("leftover", "cache-mounts/x/0")},
    ),
    "a half-made git mirror": (
        lambda store: (store.root / "git" / "x" / "new-1-1").mkdir(parents=True),
        {("leftover", "git/x")},
    ),
    "a directory of the store is gone": (lambda store: (store.root / "git").rmdir(), {("directory", "git")}),
}


@pytest.mark.parametrize("case", FILES)
def test_files(store: Store, case: str) -> None:
    filled(store)
    damage, expected = FILES[case]
    damage(store)
    assert problems(fsck(store)) == expected
    repaired = fsck(store, repair=True)
    assert problems(repaired) == expected
    assert all(finding.repaired for finding in repaired)
    assert fsck(store) == []
    assert store.cache.load("result-alone") is not None, "something good was removed"
    assert (store.cache.load("result-top") is None) == any(kind == "snapshot" for kind, _ in expected)


def test_a_damaged_blob_goes_with_what_remembers_it(store: Store) -> None:
    layer = filled(store)
    path = store.content.path(layer)
    path.chmod(0o644)
    path.write_bytes(b"Layer")
    (path.parent / "not-a-digest").touch()
    wrong = {("blob", layer), ("blob", "sha256:not-a-digest")}
    assert problems(fsck(store)) == wrong
    assert problems(fsck(store, repair=True)) == wrong | {("layer", "base"), ("image", "image")}
    assert fsck(store) == []
    assert not store.snapshots.stat("base").labels
    assert store.cache.load("result-base") is not None


def test_a_cache_mount_without_its_name_stays_usable(store: Store) -> None:
    path = cache_mount(store)
    (path.parent / "info.json").write_text("")
    assert [finding.kind for finding in fsck(store, repair=True)] == ["cache-mount"]
    assert fsck(store) == []
    assert (path / "file").read_text() == "cached"
    assert [record.kind for record in store.gc.usage()] == ["cache-mount"]


@pytest.mark.parametrize("damage", ["other bytes", "zeros within"])
def test_a_damaged_database_is_replaced(store: Store, damage: str) -> None:
    layer = filled(store)
    store.close()
    path = store.root / "store.db"
    if damage == "other bytes":
        path.write_bytes(b"no database" * 100)
    else:
        data = bytearray(path.read_bytes())
        data[4096:-4096] = bytes(len(data) - 8192)
        path.write_bytes(data)
    with pytest.raises(StoreDamaged, match="the store's database is damaged"):
        Store.open(store.root).gc.usage()
    again = Store.open(store.root)
    assert problems(fsck(again)) == {("database", "store.db")}
    assert ("database", "store.db") in problems(fsck(again, repair=True))
    assert fsck(again) == []
    assert again.content.read(layer) == b"layer", "a good blob was removed"
    tree(again, "base", size=5)
    assert again.snapshots.stat("base")
    again.close()


def test_a_database_in_use_is_not_replaced(store: Store) -> None:
    filled(store)
    store.close()
    with other_process(store.root, "store.leases.owner(); say('ready'); wait()") as other:
        assert other.hear() == "ready"
        (store.root / "store.db").write_bytes(b"no database" * 100)
        with pytest.raises(StoreError, match="other processes use it"):
            fsck(Store.open(store.root), repair=True)


def test_what_living_processes_work_on_is_no_problem(store: Store) -> None:
    script = """
    with store.leases.lease() as lease, store.locks.exclusive("lock"), store.content.writer() as writer:
        store.snapshots.prepare("active")
        writer.write(b"x")
        say("ready")
        wait()
        store.snapshots.commit("done", "active")
        writer.commit()
    say("done")
    """
    filled(store)
    with other_process(store.root, "if True:" + script) as other:
        assert other.hear() == "ready"
        assert fsck(store) == []
        assert fsck(store, repair=True) == []
        other.go_on()
        assert other.hear() == "done"
    assert store.snapshots.stat("done")
    assert store.content.read(blob(store, b"x")) == b"x"


def test_what_a_killed_process_leaves(store: Store) -> None:
    script = """
    lock, lease = store.locks.exclusive("lock"), store.leases.lease()
    lock.__enter__(), lease.__enter__()
    writer = store.content.writer()
    writer.__enter__().write(b"x")
    store.snapshots.prepare("active")
    say("ready")
    wait()
    """
    filled(store)
    with other_process(store.root, "if True:" + script) as other:
        assert other.hear() == "ready"
        other.kill()
    kinds = [finding.kind for finding in fsck(store)]
    assert sorted(kinds) == ["lease", "lease", "leftover", "lock", "unfinished"]
    assert all(finding.repaired for finding in fsck(store, repair=True))
    assert fsck(store) == []
    with pytest.raises(NotFound):
        store.snapshots.stat("active")


def test_an_owner_leaves_no_file(tmp_path: Path) -> None:
    with other_process(tmp_path / "store", "store.leases.owner(); say('made')") as other:
        assert other.hear() == "made"
        assert other.hear() == ""
    assert list((tmp_path / "store" / "leases").iterdir()) == []


def test_findings_are_plain_data() -> None:
    finding = Finding(kind="blob", id="sha256:0", problem="gone", repaired=False)
    assert json.dumps({name: getattr(finding, name) for name in ("kind", "id", "problem", "repaired")})
