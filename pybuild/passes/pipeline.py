"""The passes, in order, which of them run, and the driver that runs them.

Each pass is a pure function from graph to graph in its own file; to add one, write the file and put it into the table.
What each of them does, and why it is safe, is the first thing in its file; docs/passes.md lists them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import attrs

from pybuild._collector import paused
from pybuild.errors import ArgumentError
from pybuild.llb.vertex import Graph
from pybuild.passes.bind_platform import bind_platform
from pybuild.passes.copy_to_merge import copy_to_merge
from pybuild.passes.dedupe import dedupe
from pybuild.passes.flatten_merges import flatten_merges
from pybuild.passes.fold_diffs import fold_diffs
from pybuild.passes.fuse_files import fuse_files
from pybuild.passes.narrow_context import narrow_context
from pybuild.passes.prune import prune
from pybuild.passes.receipts import PassReport, Receipts
from pybuild.passes.resolve import resolve
from pybuild.passes.split_context import split_context
from pybuild.passes.squash import squash
from pybuild.passes.verify import Level, verify
from pybuild.protocols import Pass, PassContext

PASSES: tuple[tuple[int, Pass], ...] = (
    (1, dedupe),
    (0, resolve),
    (0, bind_platform),
    (1, prune),
    (1, dedupe),
    (0, squash),
    (2, copy_to_merge),
    (2, flatten_merges),
    (2, fold_diffs),
    (1, dedupe),
    (2, fuse_files),
    (2, split_context),
    (1, narrow_context),
)
"""Every pass with the level from which on it runs: 0 what a build cannot do without (`-O0`), 1 what leaves the digests
of a Dockerfile's graph as BuildKit makes them (the default), 2 what changes steps and layers (`-O2`)."""

LEVELS = (0, 1, 2)
DEFAULT: tuple[Pass, ...] = tuple(step for level, step in PASSES if level <= 1)
NAMES: tuple[str, ...] = tuple(dict.fromkeys(step.__name__ for _, step in PASSES))
_LOOKING_UP = ("resolve", "bind_platform")
_REPEATED = (copy_to_merge, flatten_merges, fold_diffs, fuse_files)
"""One of these may find more after another. They end: each makes fewer diffs, or else fewer file ops that stand on
another, or else fewer merges, and what a pass makes more of stands behind in this order."""
_SMALL = 1000


def names_of(level: int = 1, changes: str = "") -> tuple[str, ...]:
    """The names of the passes that `-O` and `--passes` ask for.

    Args:
        level: 0, 1 or 2.
        changes: names with commas in between. With `+` or `-` in front of each they are added to those of the level,
            or taken out; without, they are all that run beside what a build, and they themselves, cannot do without.

    Raises:
        ArgumentError: an unknown name, a pass that cannot be taken out, or a mixture of both forms.

    Example:
        >>> names_of(1)
        ('dedupe', 'resolve', 'bind_platform', 'prune', 'squash', 'narrow_context')
        >>> names_of(0, "prune")
        ('resolve', 'bind_platform', 'prune', 'squash')
        >>> names_of(1, "+fuse_files,-prune")
        ('dedupe', 'resolve', 'bind_platform', 'squash', 'fuse_files', 'narrow_context')
    """
    items = [item.strip() for item in changes.split(",") if item.strip()]
    signed = [item for item in items if item[0] in "+-"]
    if signed and len(signed) < len(items):
        raise ArgumentError(f'"{changes}" has names with and without a sign', hint="write +NAME,-NAME or NAME,NAME")
    levels = {step.__name__: least for least, step in PASSES}
    chosen = {name for name, least in levels.items() if least <= (level if signed or not items else 0)}
    for item in items:
        name = item.lstrip("+-")
        if name not in NAMES:
            raise ArgumentError(f'there is no pass "{name}"', hint=f"there are: {', '.join(NAMES)}")
        if item.startswith("-") and levels[name] == 0:
            raise ArgumentError(f'a build cannot do without the pass "{name}"')
        (chosen.discard if item.startswith("-") else chosen.add)(name)
    if any(levels[name] == 2 for name in chosen):
        chosen.add("dedupe")  # they take equal vertices for one
    return tuple(name for name in NAMES if name in chosen)


def passes_named(names: Iterable[str] | None, *, lookups: bool = True) -> tuple[Pass, ...]:
    """The passes of some names, in their order.

    Args:
        names: which; None for the default ones.
        lookups: also those that fit the graph to images and to a platform, which a mere drawing does not.

    Example:
        >>> [step.__name__ for step in passes_named(["prune", "resolve"])]
        ['resolve', 'prune']
    """
    chosen = set(names_of(1) if names is None else names)
    if not lookups:
        chosen.difference_update(_LOOKING_UP)
    return tuple(step for _, step in PASSES if step.__name__ in chosen)


def run_passes(
    graph: Graph,
    context: PassContext,
    passes: Sequence[Pass] = DEFAULT,
    *,
    verify_each: bool = False,
    report: list[PassReport] | None = None,
) -> Graph:
    """Run `passes` over `graph`, one after the other; those that make fewer steps again until they find no more.

    Args:
        graph: where to start from; it is not changed.
        context: platform and resolver.
        passes: what to run.
        verify_each: check the graph after every pass.
        report: gets one entry per pass.

    Raises:
        InternalError: a pass made an illegal graph.
    """
    if verify_each:
        verify(graph, Level.DEFINITION)
    repeated = [number for number, step in enumerate(passes) if step in _REPEATED]
    first, after = (repeated[0], repeated[-1] + 1) if repeated else (0, 0)

    def each(steps: Sequence[Pass], graph: Graph) -> Graph:
        for step in steps:
            graph = _run(step, graph, context, report)
            if verify_each:
                verify(graph, Level.DEFINITION)
        return graph

    graph = each(passes[:first], graph)
    changed = bool(repeated)
    while changed:
        before = graph
        graph = each(passes[first:after], graph)
        changed = graph is not before
    return each(passes[after:], graph)


def _run(step: Pass, graph: Graph, context: PassContext, report: list[PassReport] | None) -> Graph:
    started = time.perf_counter()
    receipts = Receipts() if report is not None else None
    with paused():
        made = step(graph, context if receipts is None else attrs.evolve(context, record=receipts.record))
        len(made)  # finds the order: part of what the pass costs
    if report is not None and receipts is not None:
        report.append(receipts.report(step.__name__, graph, made, time.perf_counter() - started))
    return made


__all__ = ["DEFAULT", "LEVELS", "NAMES", "PASSES", "PassReport", "names_of", "passes_named", "run_passes"]
