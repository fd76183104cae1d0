"""What is left of a directory is what matching each path says, however much of the walk is not matched at all."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as some

from pybuild.patterns import PatternMatcher
from pybuild.store.filtered import filtered
from pybuild.store.tree import LayeredTree

PATHS = ["a", "a/a", "a/b", "a/b/a", "a/b/c", "b", "b/c", "b/c/a", "b/c/b", "c"]
patterns = some.lists(
    some.sampled_from([f"{sign}{name}" for sign in ("", "!") for name in (*PATHS, "*", "**/a", "a/*")])
)


def brute_force(include: list[str], exclude: list[str]) -> set[str]:
    """Every path that matches as the walk comes by it, with no directory left out; and the directories above it."""
    taken: set[str] = set()
    for name in PATHS:
        kept: list[bool] = []
        for matcher, wanted in ((PatternMatcher(include), True), (PatternMatcher(exclude), False)):
            state = None
            for path in [*reversed(Path(name).parents[:-1]), Path(name)]:
                matched, state = matcher.matches_using_parents(str(path), state)
            kept.append(not matcher or matched == wanted)
        if all(kept):
            taken |= {str(path) for path in (Path(name), *Path(name).parents)} - {"."}
    return taken


@settings(max_examples=300, deadline=None)
@given(patterns, patterns)
def test_the_walk_leaves_what_each_path_says(include: list[str], exclude: list[str]) -> None:
    with TemporaryDirectory() as folder:
        for name in PATHS:
            place = Path(folder, name)
            if any(other.startswith(f"{name}/") for other in PATHS):
                place.mkdir()
            else:
                place.touch()
        tree = LayeredTree((folder,))
        given_ = (PatternMatcher(include) if include else None, PatternMatcher(exclude) if exclude else None)
        left = [path.removeprefix("/") for path, _ in filtered(tree, tree.root, *given_, header=False)]
        below = [path for path, _ in filtered(tree, tree.need("/a"), *given_)]
    assert left == sorted(brute_force(include, exclude), key=lambda name: name.split("/"))
    assert len(below) == len(set(below))
