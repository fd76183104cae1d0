from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.protocols import ContentStore
from pybuild.store.store import Store
from tests.conformance.content_store import ContentStoreConformance
from tests.fakes.store import MemoryContentStore


class TestFileContentStore(ContentStoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ContentStore]:
        store = Store.open(tmp_path / "store")
        yield store.content
        store.close()


class TestMemoryContentStore(ContentStoreConformance):
    @pytest.fixture
    def store(self) -> ContentStore:
        return MemoryContentStore()
