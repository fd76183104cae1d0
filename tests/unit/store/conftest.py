from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with plain-copy snapshots, which need no mounts."""
    store = Store.open(tmp_path / "store", snapshotter="native")
    yield store
    store.close()
