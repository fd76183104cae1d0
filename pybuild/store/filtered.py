"""Walks a directory under include and exclude patterns, with the directories that lead to what they leave.

The rules are those of fsutil's filter, which BuildKit uses for contexts, copies and content keys alike. What
lies below a directory whose content surely gets the same answer as it got itself is not matched at all.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from pybuild.patterns import ParentState, PatternMatcher
from pybuild.store.tree import Entry, LayeredTree


@attrs.define
class _Step:
    """A step of the filtered walk: a path below the top, its matcher states, and whether it has been emitted."""

    relative: str
    entry: Entry
    parent: _Step | None
    included: ParentState | None = None
    excluded: ParentState | None = None
    emitted: bool = False


def filtered(
    tree: LayeredTree,
    top: Entry,
    include: PatternMatcher | None,
    exclude: PatternMatcher | None,
    *,
    header: bool = True,
) -> Iterator[tuple[str, Entry]]:
    """What the patterns leave of a directory: (path below it, entry), parents first, names in order.

    Args:
        tree: where to look.
        top: the directory; its own path is "".
        include: only what matches these.
        exclude: leave out what matches these.
        header: the directory itself is among the results.
    """
    start = 0 if top.path == "/" else len(top.path)
    for path, entry, below in filtered_steps(tree, top, include, exclude, header=header):
        if not below:
            yield path, entry
            continue
        for found in _below(tree, entry):
            yield found.path[start:], found


def filtered_steps(
    tree: LayeredTree,
    top: Entry,
    include: PatternMatcher | None,
    exclude: PatternMatcher | None,
    *,
    header: bool = True,
) -> Iterator[tuple[str, Entry, bool]]:
    """The same as `filtered`, with one item for all that lies below a directory where that is surely left as it is.

    Gives (path, entry, False) for an entry, and (path, directory, True) for everything below a directory.
    """
    stack = [_Step("", top, None, emitted=not header)]
    while stack:
        step = stack.pop()
        chosen = True
        settled = not include and not exclude
        if step.relative:
            before = step.parent
            path = step.relative[1:]
            if include:
                chosen, step.included = include.matches_using_parents(path, before.included if before else None)
                settled = include.is_settled(path, matched=chosen)
            if exclude:
                dropped, step.excluded = exclude.matches_using_parents(path, before.excluded if before else None)
                sure = exclude.is_settled(path, matched=dropped)
                # One sure no is enough; a yes takes both.
                settled = (sure and dropped) or (settled and not chosen) or (sure and (settled or not include))
                chosen = chosen and not dropped
        elif include:
            chosen = False
        if chosen:
            for emitted in _emit(step):
                yield emitted.relative, emitted.entry, False
        if not step.entry.is_dir:
            continue
        if not settled:
            stack.extend(
                _Step(f"{step.relative}/{child.name}", child, step) for child in reversed(tree.children(step.entry))
            )
        elif chosen:
            yield step.relative, step.entry, True


def _below(tree: LayeredTree, top: Entry) -> Iterator[Entry]:
    """Everything below a directory, parents first, names in order."""
    stack = tree.children(top)[::-1]
    while stack:
        entry = stack.pop()
        yield entry
        if entry.dirs:
            stack.extend(reversed(tree.children(entry)))


def _emit(step: _Step) -> Iterator[_Step]:
    chain: list[_Step] = []
    at: _Step | None = step
    while at is not None:
        if not at.emitted:
            chain.append(at)
        at = at.parent
    for found in reversed(chain):
        found.emitted = True
        yield found
