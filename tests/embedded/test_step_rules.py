"""What a step says of its own result: how old it may be, and what else is in its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuild import State, local, scratch
from pybuild.errors import ArgumentError, DefinitionError
from tests.embedded.conftest import Builder

pytestmark = pytest.mark.engine

DAY = 86400.0


def index() -> State:
    return scratch().write("/lists", "lists").named("index")


def age(build: Builder, seconds: float) -> None:
    """Let all results of the store be older."""
    with build.engine.store().database.write() as connection:
        connection.execute("UPDATE results SET created = created - ?", (seconds,))


def test_an_old_result_is_made_again_with_all_that_stands_on_it(fresh: Builder) -> None:
    state = index().ttl("1d").write("/installed", "x").named("install")
    fresh(state)
    age(fresh, DAY / 2)
    fresh(state)
    assert fresh.ran == []
    age(fresh, DAY)
    fresh(state)
    assert fresh.ran == ["index", "install"]
    assert fresh.result is not None
    fresh(state)
    assert fresh.ran == [], "the new results count from now on"
    age(fresh, DAY * 2)
    fresh(index().write("/installed", "x").named("install"))
    assert fresh.ran == [], "who does not ask for it takes results of any age"


def test_why_it_runs_is_said(fresh: Builder) -> None:
    fresh(index().ttl(60))
    age(fresh, 120)
    result = fresh(index().ttl(60))
    assert [step.reason for step in result.steps] == ["its result is older than 60 s"]


def test_what_uses_only_its_content_stays(fresh: Builder) -> None:
    state = scratch().copy(index().ttl("1h").path("/lists"), "/lists").named("copy")
    fresh(state)
    age(fresh, DAY)
    fresh(state)
    assert fresh.ran == ["index"]


def test_a_collected_result_does_not_let_old_ones_count(fresh: Builder) -> None:
    state = index().ttl("1d").write("/installed", "x").named("install")
    fresh(state)
    with fresh.engine.store().database.write() as connection:
        connection.execute("DELETE FROM results WHERE description = 'index'")
    fresh(state)
    assert fresh.ran[0] == "index"


def test_without_an_age_what_stands_on_a_collected_result_counts(fresh: Builder) -> None:
    state = index().write("/installed", "x").named("install")
    fresh(state)
    with fresh.engine.store().database.write() as connection:
        connection.execute("DELETE FROM results WHERE description = 'index'")
    fresh(state)
    assert fresh.ran == []


def test_an_imported_result_has_the_age_of_the_run_that_made_it(fresh: Builder, tmp_path: Path) -> None:
    state = index().ttl("1d").write("/installed", "x").named("install")
    fresh(state)
    caches = {}
    for name, older in (("young", 0.0), ("old", 2 * DAY)):
        age(fresh, older)
        plain = index().write("/installed", "x").named("install")  # the same keys, of whatever age
        caches[name] = f"{tmp_path}/{name}"
        fresh(plain, cache_to=[f"type=local,dest={caches[name]},mode=max"])
    ran = {}
    for name, path in caches.items():
        other = Builder(tmp_path / f"store-{name}", tmp_path)
        other(state, cache_from=[f"type=local,src={path}"])
        ran[name] = other.ran
    assert ran == {"young": [], "old": ["index", "install"]}


def test_a_younger_import_takes_the_place_of_an_expired_result(fresh: Builder, tmp_path: Path) -> None:
    state = index().ttl("1d").write("/installed", "x").named("install")
    fresh(state)
    age(fresh, 2 * DAY)
    other = Builder(tmp_path / "other", tmp_path)
    other(state, cache_to=[f"type=local,dest={tmp_path}/cache,mode=max"])
    fresh(state, cache_from=[f"type=local,src={tmp_path}/cache"])
    assert fresh.ran == []
    fresh(index().ttl("1d"), cache_from=[f"type=local,src={tmp_path}/cache"])
    fresh(state)
    assert fresh.ran == [], "now that both are there"


def test_extra_text_is_part_of_the_key_alone(fresh: Builder) -> None:
    def state(extra: str | int) -> State:
        return index().key(extra=extra).write("/installed", "x").named("install")

    first = fresh(state("1"))
    second = fresh(state("2"))
    assert fresh.ran == ["index", "install"]
    assert first.graph.heads[0].vertex.digest == second.graph.heads[0].vertex.digest  # type: ignore[union-attr]
    for extra in ("1", 2):
        fresh(state(extra))
        assert fresh.ran == []
    fresh(index().write("/installed", "x"))
    assert fresh.ran != []


def test_equal_steps_with_different_rules_are_one_with_both(fresh: Builder) -> None:
    both = (
        scratch()
        .copy(index().ttl("1d").path("/lists"), "/a")
        .copy(index().ttl("1h").key(extra="x").path("/lists"), "/b")
    )
    fresh(both)
    assert fresh.ran.count("index") == 1
    age(fresh, DAY / 2)
    fresh(both)
    assert fresh.ran == ["index"]


@pytest.mark.parametrize("text", ["0s", "yesterday", "-1d", ""])
def test_ages_that_are_none(text: str) -> None:
    with pytest.raises(ArgumentError):
        index().ttl(text)


def test_sources_have_no_rules(tmp_path: Path) -> None:
    for state in (scratch(), local(str(tmp_path))):
        with pytest.raises(DefinitionError, match="no step"):
            state.ttl("1d")  # type: ignore[union-attr]
