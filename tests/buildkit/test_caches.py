"""Caches through a BuildKit, and what the two engines make of each other's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybuild import State, scratch, to_dir, to_registry
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.engine.buildkit.engine import BuildKitEngine
from pybuild.protocols import CacheSpec, SolveResult, StepFinished, Warned
from pybuild.remotecache.place import place_for
from pybuild.remotecache.reading import read_cache
from tests.embedded.conftest import Builder, unique
from tests.embedded.registry import registry

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


def app(text: str) -> State:
    return (
        scratch().write("/one", text).copy(scratch().write("/made", text).path("/made"), "/two").write("/three", text)
    )


class Done(Builder.Log):
    """A build: its result, and what it said."""

    result: SolveResult


def solve(engine: BuildKitEngine, state: State, **options: Any) -> Done:
    done = Done()
    with session_for() as session:
        done.result = engine.run(request_for(state, **options), session, done)
    return done


def import_of(log: Builder.Log) -> list[tuple[str, str]]:
    """How the engine's own steps that read caches went: state and error."""
    finished = [event for event in log.events if isinstance(event, StepFinished)]
    return [(event.state, event.error) for event in finished if event.name.startswith("importing cache manifest")]


@pytest.mark.parametrize("kind", ["local", "registry", "inline"])
def test_what_a_buildkit_wrote_it_finds_again(kind: str, engine: BuildKitEngine, address: str, tmp_path: Path) -> None:
    text = unique()
    name = f"{address}/cache:{text}"
    written = {"local": f"type=local,dest={tmp_path}/cache,mode=max", "registry": f"type=registry,ref={name},mode=max"}
    read = {"local": f"type=local,src={tmp_path}/cache"}
    output = to_registry(name) if kind == "inline" else None
    first = solve(engine, app(text), cache_to=[written.get(kind, "type=inline")], output=output)
    assert {step.state for step in first.result.steps} == {"done"}
    list(engine.client.prune(everything=True))
    again = solve(
        engine, app(text), cache_from=[read.get(kind, f"type=registry,ref={name}")], output=to_dir(tmp_path / "out")
    )
    states = {step.name: step.state for step in again.result.steps}
    assert states["copy /made /two"] == "cached", "the last step counts as done when its layers were pulled"
    assert (tmp_path / "out/three").read_text() == text
    assert import_of(again) == [("done", "")]


def test_each_engine_reads_what_the_other_wrote_and_finds_no_key(engine: BuildKitEngine, tmp_path: Path) -> None:
    text = unique()
    solve(engine, app(text), cache_to=[f"type=local,dest={tmp_path}/theirs,mode=max"])
    spec = CacheSpec(type="local", attrs=(("src", f"{tmp_path}/theirs"),))
    [found] = read_cache(spec, place_for(spec, lambda _host: None))
    results = [result for record in found.config.records for result in record.results]
    assert results, "BuildKit leaves out steps that stand on nothing"
    assert {blob for result in results for blob in result.blobs} == set(found.layers)
    ours = Builder(tmp_path / "store", tmp_path)
    ours(app(text), cache_from=[str(spec)], cache_to=[f"type=local,dest={tmp_path}/ours,mode=max"])
    assert len(ours.ran) == 4
    assert not [event for event in ours.events if isinstance(event, Warned)]
    list(engine.client.prune(everything=True))
    theirs = solve(engine, app(text), cache_from=[f"type=local,src={tmp_path}/ours"])
    assert import_of(theirs) == [("done", "")]
    assert {step.state for step in theirs.result.steps} == {"done"}


def test_a_cache_that_is_not_there_is_a_warning(engine: BuildKitEngine, tmp_path: Path) -> None:
    done = solve(engine, app(unique()), cache_from=[f"type=local,src={tmp_path}/none"])
    warnings = [event.message for event in done.events if isinstance(event, Warned)]
    assert len(warnings) == 1
    assert "is not there" in warnings[0]
