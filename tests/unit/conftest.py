"""What tests of several packages start from: a small context, and a store whose snapshots can be revised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.store import revisions
from pybuild.store.store import Store


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A directory with a file, a file in a directory of a directory, and a link."""
    place = tmp_path / "context"
    (place / "d/e").mkdir(parents=True)
    (place / "a").write_text("a")
    (place / "d/e/f").write_text("f")
    (place / "link").symlink_to("a")
    return place


@pytest.fixture(scope="module")
def overlay_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store whose snapshots can be revised."""
    store = Store.open(tmp_path_factory.mktemp("store"), snapshotter="overlay")
    yield store
    store.close()


@pytest.fixture
def small_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Revise trees although most of them changes."""
    monkeypatch.setattr(revisions, "_MAX_PART", 1000.0)
