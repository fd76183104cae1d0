from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybuild.protocols import CacheRecord, LeaseManager, Ref
from pybuild.store.store import Store
from tests.conformance.lease_manager import LeaseManagerConformance
from tests.fakes.store import MemoryLeases


def record(key: str) -> CacheRecord:
    return CacheRecord(
        result_key=key, ref=Ref(snapshot=""), description="", created=1.0, last_used=1.0, usage_count=1, duration=0.0
    )


class TestStoreLeases(LeaseManagerConformance):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Store]:
        store = Store.open(tmp_path / "store")
        yield store
        store.close()

    @pytest.fixture
    def leases(self, opened: Store) -> LeaseManager:
        return opened.leases

    @pytest.fixture
    def save(self, opened: Store) -> Callable[[str], CacheRecord]:
        def save(key: str) -> CacheRecord:
            opened.cache.save(record(key), ())
            return record(key)

        return save


class TestMemoryLeases(LeaseManagerConformance):
    @pytest.fixture
    def leases(self) -> MemoryLeases:
        return MemoryLeases()

    @pytest.fixture
    def save(self, leases: MemoryLeases) -> Callable[[str], CacheRecord]:
        def save(key: str) -> CacheRecord:
            leases.records[key] = record(key)
            return record(key)

        return save
