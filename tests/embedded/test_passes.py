"""Passes that change steps and layers leave the result alone where steps run, too; files alone: tests/unit/passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuild import State, bind, diff, local, merge, scratch
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.passes.pipeline import names_of
from pybuild.store.store import Store
from tests.embedded.conftest import Builder, unique
from tests.solving import Solved, look

pytestmark = pytest.mark.engine


def built(base: State, directory: Path) -> State:
    source = local(directory)
    made = base.run("rm -r /usr/share/doc && mkdir /made && cat /c/a > /made/a && ln /made/a /made/link")
    made = (
        made.mount(bind(source.path("/in"), "/c")).copy(source.path("/in/b"), "/made/b").copy(source.path("/d"), "/d")
    )
    tools = base.copy(source.path("/tool"), "/usr/local/bin/tool", mode=0o755).run("tool > /out")
    changes = diff(base, tools)
    alone = scratch().copy(source.path("/in/a"), "/x/a").copy(source.path("/in/b"), "/y/b")
    return merge(made, merge(changes, alone), diff(base, base)).run("test -e /x/a && rm /y/b && tool >> /made/a")


def without_times(solved: Solved) -> dict[str, tuple[object, ...]]:
    """Every step ran anew, so what it wrote has another time."""
    return {path: facts[:4] for path, facts in solved.tree.items()}


def test_same_result(base: State, build: Builder, tmp_path: Path) -> None:
    context = tmp_path / "context"
    for name in ("in/a", "in/b", "d/e/f", "unused"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(unique())
    (context / "tool").write_text("#!/bin/sh\necho made\n")
    state = built(base, context)
    store = Store.open(build.root)
    found: list[Solved] = []
    for names, squash in [(names_of(0), ""), (names_of(2), ""), (None, "..")]:
        request = request_for(state, no_cache=("*",), passes=names, squash=squash)
        found.append(look(store, build.engine.run(request, session_for(), Builder.Log()).ref))
    plain, optimized, squashed = found
    assert "/made/a" in plain.tree
    assert "/usr/share/doc" not in plain.tree
    assert without_times(optimized) == without_times(plain)
    assert without_times(squashed) == without_times(plain)
    assert plain.layers > optimized.layers
    assert squashed.layers == 2
