"""The flags that choose passes, for the commands that run them or show what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pybuild.llb.vertex import Graph
    from pybuild.passes.pipeline import PassReport
    from pybuild.platform import Platform

_LIST = "NAME,NAME or +NAME,-NAME (as --passes=-NAME when the first has a minus)"


def add_passes(parser: argparse.ArgumentParser, *, shows: str = "") -> None:
    """`-O`, `--passes` and `--squash`.

    Args:
        parser: of the command.
        shows: for commands that show what passes do: what `--passes` without a list does.
    """
    parser.add_argument(
        "-O",
        dest="level",
        type=int,
        choices=(0, 1, 2),
        default=1,
        help="0: only what a build needs; 1: what keeps digests as BuildKit makes them (default); "
        "2: also what changes steps and layers",
    )
    if shows:
        parser.add_argument("--passes", metavar="LIST", nargs="?", const="", help=f"{shows}; LIST: {_LIST}")
    else:
        parser.add_argument("--passes", metavar="LIST", help=f"which passes to run: {_LIST}")
    parser.add_argument(
        "--squash", metavar="FROM..TO", default="", help='make one layer of these steps; ".." are all of the target\'s'
    )


def passes_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The names of the passes that the flags ask for.

    Raises:
        UsageError: `--passes` is not as it must be.
    """
    from pybuild.passes.pipeline import names_of

    with flags.value_of("--passes"):
        return names_of(options.level, options.passes or "")


def optimized(options: argparse.Namespace, graph: Graph, platform: Platform) -> tuple[Graph, Sequence[PassReport]]:
    """The graph after those of the passes that need no lookup, and what they did."""
    from pybuild.passes.pipeline import passes_named, run_passes
    from pybuild.protocols import PassContext

    reports: list[PassReport] = []
    context = PassContext(platform=platform, squash=options.squash)
    made = run_passes(graph, context, passes_named(passes_of(options), lookups=False), report=reports)
    return made, reports
