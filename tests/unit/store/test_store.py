import os
import subprocess
import sys
from pathlib import Path

import pytest

from pybuild.errors import StoreError
from pybuild.store.root import default_root
from pybuild.store.store import Store
from tests.fakes.processes import other_process


def test_layout(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "store"
    Store.open(root).close()
    assert root.stat().st_mode & 0o777 == 0o700
    names = {path.name for path in root.iterdir() if not path.name.startswith("store.db")}
    folders = {"blobs", "ingest", "snapshots", "cache-mounts", "contexts", "builds", "git", "leases", "locks", "tmp"}
    assert names == folders | {"version", "oci-layout", "place"}
    assert (root / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}\n'


def test_newer_format_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path / "store").close()
    (tmp_path / "store" / "version").write_text("7\n")
    with pytest.raises(StoreError, match="has format 7, this pybuild knows format 1"):
        Store.open(tmp_path / "store")


def test_foreign_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(StoreError, match='is not a store: it holds "thesis.txt"'):
        Store.open(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="cannot"):
            Store.open(path)


def test_half_made_store_is_completed(tmp_path: Path) -> None:
    Store.open(tmp_path / "store").close()
    (tmp_path / "store" / "version").unlink()
    store = Store.open(tmp_path / "store")
    assert (tmp_path / "store" / "version").read_text() == "1\n"
    store.close()


def test_snapshotter_stays(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "store", snapshotter="native")
    assert first.snapshots.name == "native"
    assert Store.open(tmp_path / "store").snapshots.name == "native"
    with pytest.raises(StoreError, match="has native snapshots, not overlay ones"):
        _ = Store.open(tmp_path / "store", snapshotter="overlay").snapshots


def test_parts_are_made_once(store: Store) -> None:
    for name in ("content", "cache", "leases", "cache_mounts", "gc", "snapshots"):
        assert getattr(store, name) is getattr(store, name)


def test_default_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("PYBUILD_ROOT", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_root() == Path("/home/me/.local/share/pybuild")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_root() == Path("/data/pybuild")
    monkeypatch.setenv("PYBUILD_ROOT", "/root/of/pybuild")
    assert default_root() == Path("/root/of/pybuild")


def test_two_processes_create_one_store(tmp_path: Path) -> None:
    script = 'store.cache.touch(["x"]); say(store.snapshots.name)'
    root = tmp_path / "store"
    with other_process(root, script) as first, other_process(root, script) as second:
        assert first.hear() == second.hear() == "native"


def test_a_cached_build_imports_little(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from pybuild.store.store import Store
store = Store.open(Path(sys.argv[1]), snapshotter="native")
store.cache.load("x")
with store.leases.lease() as lease:
    lease.hold_result("x")
heavy = {"asyncio", "tempfile", "shutil", "subprocess", "ctypes", "secrets"}
heavy |= {"pybuild.store.gc", "pybuild.store.overlay"}
print(sorted(heavy & set(sys.modules)))
"""
    command = [sys.executable, "-S", "-c", script, str(tmp_path / "store")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
