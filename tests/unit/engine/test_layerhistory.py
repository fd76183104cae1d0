"""Which step made which layer, by the graph alone."""

from __future__ import annotations

import pytest

from pybuild import State, diff, image, local, merge, scratch
from pybuild.engine.layerhistory import history_of_layers

BASE = image("debian:bookworm")
ONE = BASE.run("one")
TWO = BASE.run("two").run("more")
BOTH = merge(BASE, diff(BASE, ONE), diff(BASE, TWO))


@pytest.mark.parametrize(
    ("state", "expected", "inherited"),
    [
        (scratch(), [], True),
        (BASE, [], True),
        (ONE, ["one"], True),
        (scratch().write("/f", ""), ["/f"], False),
        (BOTH, ["one", "two", "more"], True),
        (BOTH.run("last"), ["one", "two", "more", "last"], True),
        (merge(BOTH, scratch().write("/a", "").write("/b", ""), diff(ONE, ONE.run("three"))),
         ["one", "two", "more", "/a", "/b", "three"], True),
        (diff(BASE, ONE), ["one"], False),
        (diff(BASE, TWO).write("/f", ""), ["two", "more", "/f"], False),
        (diff(ONE, TWO), ["diff"], False),
        (diff(scratch(), ONE), ["one"], True),
        (diff(ONE, scratch()), ["diff"], False),
        (merge(scratch().write("/f", ""), BASE), ["/f", "debian:bookworm"], False),
        (merge(BASE, local(".", name="here")), ["here"], True),
    ],
)  # fmt: skip
def test_the_entries_of_a_result(state: State, expected: list[str], inherited: bool) -> None:
    found = history_of_layers(state.head)
    assert len(found.entries) == len(expected)
    assert all(text in entry.created_by for text, entry in zip(expected, found.entries, strict=True)), found
    assert found.inherited is inherited


def test_a_long_chain_above_a_merge() -> None:
    state = BOTH
    for number in range(5000):
        state = state.write("/f", str(number))
    assert len(history_of_layers(state.head).entries) == 5003
