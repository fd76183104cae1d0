"""BuildKit's rules and arithmetic; the tables are those of its cmd/buildkitd/config and cache/manager.go."""

import pytest

from pybuild.store.disk import Disk, keep_bytes
from pybuild.store.gcpolicy import Limits, Space, default_limits, default_rules

GB = 1_000_000_000
GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "reserved", "most", "free"),
    [
        (1000 * GIB, 10 * GB, 100 * GB, 201 * GB),
        (100 * GIB, 10 * GB, 81 * GB, 21 * GB),
        (50 * GIB, 6 * GB, 41 * GB, 11 * GB),
        (5 * GIB, 1 * GB, 5 * GB, 2 * GB),
    ],
)
def test_the_defaults_are_scaled_to_the_disk(total: int, reserved: int, most: int, free: int) -> None:
    disk = Disk(total, total)
    assert default_limits(disk).on(disk) == (reserved, most, free)


def test_default_rules() -> None:
    limits = Limits(max_used=Space(5))
    first, *rest = default_rules(limits)
    assert [str(term) for terms in first.filters for term in terms] == [
        "type=source.local",
        "type=exec.cachemount",
        "type=source.git.checkout",
    ]
    assert (first.keep_seconds, first.limits, first.all) == (48 * 3600, Limits(max_used=Space(512_000_000)), False)
    assert [(rule.all, rule.filters, rule.keep_seconds, rule.limits) for rule in rest] == [
        (False, (), 60 * 24 * 3600, limits),
        (False, (), 0, limits),
        (True, (), 0, limits),
    ]


@pytest.mark.parametrize(
    ("reserved", "most", "wanted", "used", "free", "keep"),
    [
        (0, 100, 0, 500, 0, 100),  # a limit alone
        (0, 0, 20, 500, 30, 500),  # enough is free: all stays
        (0, 0, 20, 500, 5, 485),  # 15 are missing
        (0, 100, 20, 90, 5, 75),  # below the limit, and 15 are missing
        (0, 100, 20, 500, 5, 100),  # the limit is what matters
        (80, 100, 20, 90, 5, 80),  # what is reserved stays
        (80, 0, 0, 90, 5, 80),
        (0, 0, 20, 10, 0, 0),  # more is missing than there is
    ],
)
def test_how_much_stays(reserved: int, most: int, wanted: int, used: int, free: int, keep: int) -> None:
    assert keep_bytes(reserved, most, wanted, used, free) == keep
    limits = Limits(reserved=Space(reserved), max_used=Space(most), min_free=Space(wanted))
    assert limits.keep_bytes(used, Disk(1000, free)) == keep


def test_no_limits_keep_nothing() -> None:
    assert Limits().keep_bytes(10, Disk(100, 50)) is None
