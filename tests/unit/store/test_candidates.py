from collections.abc import Collection, Mapping

import pytest

from pybuild.store.candidates import chosen, in_order, plan, total_size
from pybuild.store.disk import Disk
from pybuild.store.gcpolicy import Limits, Rule, Space
from pybuild.store.recordfilter import parse_filter
from pybuild.store.usage import RecordKind, UsageRecord

DAY = 86400.0
NOW = 100 * DAY
DISK = Disk(1 << 40, 1 << 39)


def record(
    id: str,  # noqa: A002  # as in the record
    kind: RecordKind = "snapshot",
    *,
    age: float = 1.0,
    count: int = 1,
    size: int = 10,
    parent: str = "",
    directory: int = 0,
    in_use: bool = False,
    shared: bool = False,
) -> UsageRecord:
    used = NOW - age * DAY
    return UsageRecord(
        id=id,
        kind=kind,
        size=size,
        created=used,
        last_used=used,
        usage_count=count,
        parent=parent,
        directory=directory,
        in_use=in_use,
        shared=shared,
    )


def order(records: list[UsageRecord], blobs: Mapping[str, Collection[str]] | None = None) -> list[str]:
    return [each.id for each in in_order(records, chosen(records, Rule(all=True), NOW), blobs or {})]


def test_a_shared_directory_counts_once() -> None:
    one, two = (record(name, size=7, directory=3, shared=True) for name in ("one", "two"))
    assert total_size([one, two, record("blob", "content", size=5), record("mount", "cache-mount", size=2)]) == 14


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (Rule(), {"old", "young", "mount"}),
        (Rule(all=True), {"old", "young", "mount", "both", "contexts/x"}),
        (Rule(keep_seconds=3 * DAY), {"old"}),
        (Rule(filters=(parse_filter("type=exec.cachemount"), parse_filter("id=old"))), {"old", "mount"}),
        (Rule(all=True, filters=(parse_filter("type=internal"),)), {"contexts/x", "builds/x"}),
        (Rule(filters=(parse_filter("inuse"),)), set[str]()),
    ],
)
def test_what_a_rule_chooses(rule: Rule, found: set[str]) -> None:
    records = [
        record("old", age=5),
        record("young"),
        record("mount", "cache-mount"),
        record("both", shared=True),
        record("used", in_use=True),
        record("contexts/x", "record"),
        record("builds/x", "record"),
    ]
    assert {each.id for each in chosen(records, rule, NOW)} == found


def test_the_least_valuable_goes_first() -> None:
    records = [record("often", age=9, count=50), record("new", age=1), record("old", age=9), record("middle", age=5)]
    assert order(records) == ["old", "middle", "often", "new"]


def test_children_go_before_their_parents() -> None:
    records = [record("base", age=9), record("middle", age=9, parent="base"), record("top", age=1, parent="middle")]
    assert order(records) == ["top", "middle", "base"]
    assert order([*records, record("used", parent="middle", in_use=True)]) == ["top"]


def test_a_blob_goes_right_after_the_last_of_its_snapshots() -> None:
    records = [
        record("sha256:one", "content", age=9),
        record("sha256:loose", "content", age=7),
        record("first", age=9),
        record("second", age=8),
        record("third", age=1),
    ]
    blobs = {"first": ["sha256:one"], "second": ["sha256:one"]}
    assert order(records, blobs) == ["first", "second", "sha256:one", "sha256:loose", "third"]
    records[3] = record("second", in_use=True)
    assert order(records, blobs) == ["first", "sha256:loose", "third"]


def test_a_plan_applies_rules_one_after_the_other() -> None:
    records = [record("mount", "cache-mount", age=3), *(record(f"s{age}", age=age) for age in (1, 2, 70, 80))]
    rules = [
        Rule(filters=(parse_filter("type=exec.cachemount"),), keep_seconds=2 * DAY, limits=Limits(max_used=Space(5))),
        Rule(keep_seconds=60 * DAY),
        Rule(limits=Limits(max_used=Space(10))),
    ]
    assert [(each.record.id, each.rule) for each in plan(records, rules, {}, DISK, NOW)] == [
        ("mount", 0),
        ("s80", 1),
        ("s70", 1),
        ("s2", 2),
    ]


def test_a_plan_stops_at_the_limit_and_counts_what_is_freed() -> None:
    records = [record(f"s{age}", age=age, size=10) for age in range(1, 6)]
    rule = Rule(limits=Limits(max_used=Space(35)))
    assert [each.record.id for each in plan(records, [rule], {}, DISK, NOW)] == ["s5", "s4"]
    # The first of two that share a directory frees nothing.
    twins = [record("one", age=9, directory=1), record("two", age=8, directory=1), record("three", age=1)]
    found = plan(twins, [Rule(all=True, limits=Limits(max_used=Space(10)))], {}, DISK, NOW)
    assert [(each.record.id, each.freed) for each in found] == [("one", 0), ("two", 10)]


def test_room_on_the_disk_is_made_once() -> None:
    records = [record(f"s{age}", age=age, size=100) for age in range(1, 6)]
    rule = Rule(limits=Limits(min_free=Space(150)))
    assert [each.record.id for each in plan(records, [rule, rule], {}, Disk(1000, 0), NOW)] == ["s5", "s4"]
