import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.store.layerdiff import changes
from pybuild.store.overlay import OverlaySnapshotter
from pybuild.store.store import Store

MOMENT = 1_700_000_000_123_456_789


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[OverlaySnapshotter]:
    """Bookkeeping only: changes are written into `upper` directly, nothing is mounted."""
    store = Store.open(tmp_path / "store", snapshotter="overlay")
    yield OverlaySnapshotter(store.root, store.database, store.leases.owner)
    store.close()


def add(overlay: OverlaySnapshotter, name: str, parent: str, **files: str) -> None:
    overlay.prepare(f"active-{name}", parent)
    for file, text in files.items():
        path = overlay.upper(f"active-{name}") / file
        path.write_text(text)
        os.utime(path, ns=(MOMENT, MOMENT))
    overlay.commit(name, f"active-{name}")


def test_a_file_of_equal_size_and_time_is_a_change_when_its_bytes_are(overlay: OverlaySnapshotter) -> None:
    add(overlay, "one", "", same="1", other="1")
    add(overlay, "two", "one", same="1", other="2")
    assert [change.path for change in changes(overlay, "two")] == ["/other"]
