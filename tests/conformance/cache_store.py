"""What every CacheStore must do. A test class inherits this and provides the fixture `cache`."""

import attrs
import pytest

from pybuild.protocols import CacheLink, CacheRecord, CacheStore, Ref

LINK = CacheLink(input_key="input", input_index=0, op_digest="op", output=0, selector="")
RECORD = CacheRecord(
    result_key="result",
    ref=Ref(snapshot=""),
    description="make",
    created=1.0,
    last_used=2.0,
    usage_count=3,
    duration=4.0,
)


class CacheStoreConformance:
    def test_nothing_is_found_in_an_empty_cache(self, cache: CacheStore) -> None:
        assert list(cache.query(LINK)) == []
        assert cache.load("result") is None

    def test_a_result_is_found_over_its_links(self, cache: CacheStore) -> None:
        other = attrs.evolve(LINK, input_index=1)
        cache.save(RECORD, [LINK, other])
        assert list(cache.query(LINK)) == ["result"]
        assert list(cache.query(other)) == ["result"]
        assert cache.load("result") == RECORD

    @pytest.mark.parametrize(
        "change", [{"input_key": "x"}, {"input_index": 1}, {"op_digest": "x"}, {"output": 1}, {"selector": "x"}]
    )
    def test_every_member_of_a_link_counts(self, cache: CacheStore, change: dict[str, str | int]) -> None:
        cache.save(RECORD, [LINK])
        assert list(cache.query(attrs.evolve(LINK, **change))) == []  # type: ignore[misc]  # names come from the table

    def test_a_link_may_lead_to_several_results(self, cache: CacheStore) -> None:
        cache.save(RECORD, [LINK])
        cache.save(attrs.evolve(RECORD, result_key="second"), [LINK])
        assert sorted(cache.query(LINK)) == ["result", "second"]

    def test_links_can_be_added_later(self, cache: CacheStore) -> None:
        cache.save(RECORD, [LINK])
        late = attrs.evolve(LINK, input_key="content")
        cache.add_links("result", [late])
        cache.add_links("result", [late])
        assert list(cache.query(late)) == ["result"]

    def test_saving_again_replaces(self, cache: CacheStore) -> None:
        cache.save(RECORD, [LINK])
        cache.save(attrs.evolve(RECORD, description="make again"), [LINK])
        found = cache.load("result")
        assert found is not None
        assert found.description == "make again"
        assert list(cache.query(LINK)) == ["result"]
