"""What every LeaseManager must do. A test class inherits this and provides the fixtures `leases` and `save`."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from pybuild.errors import LeaseExpired
from pybuild.protocols import CacheRecord, LeaseManager


class LeaseManagerConformance:
    def test_leases_have_different_ids(self, leases: LeaseManager) -> None:
        with leases.lease() as first, leases.lease(ttl=timedelta(hours=1)) as second:
            assert first.id != second.id

    def test_the_same_thing_may_be_held_twice(self, leases: LeaseManager) -> None:
        with leases.lease() as first, leases.lease() as second:
            first.add("snapshot", "a")
            first.add("snapshot", "a")
            second.add("snapshot", "a")

    def test_an_ended_lease_holds_nothing(self, leases: LeaseManager) -> None:
        with leases.lease() as lease:
            pass
        with pytest.raises(LeaseExpired):
            lease.add("content", "sha256:0")

    def test_an_error_in_the_block_ends_the_lease(self, leases: LeaseManager) -> None:
        with pytest.raises(ZeroDivisionError), leases.lease() as lease:
            raise ZeroDivisionError
        with pytest.raises(LeaseExpired):
            lease.add("content", "sha256:0")

    def test_hold_result_gives_the_record(self, leases: LeaseManager, save: Callable[[str], CacheRecord]) -> None:
        record = save("result")
        with leases.lease() as lease:
            assert lease.hold_result("result") == record
            assert lease.hold_result("another") is None
