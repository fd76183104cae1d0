from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.protocols import CacheStore
from pybuild.store.store import Store
from tests.conformance.cache_store import CacheStoreConformance
from tests.fakes.solver import MemoryCache


class TestSqliteCacheStore(CacheStoreConformance):
    @pytest.fixture
    def cache(self, tmp_path: Path) -> Iterator[CacheStore]:
        store = Store.open(tmp_path / "store")
        yield store.cache
        store.close()


class TestMemoryCache(CacheStoreConformance):
    @pytest.fixture
    def cache(self) -> CacheStore:
        return MemoryCache()
