"""`pybuild graph`: draw the graph of a target, without an engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.cli import flags, passflags, program

if TYPE_CHECKING:
    import argparse

    from pybuild.dsl.state import State
    from pybuild.viz.drawing import Drawing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    program.add_arguments(parser)
    add = parser.add_argument
    add("-o", "--output", metavar="FILE", help="write it there; the suffix decides the format")
    add(
        "--format",
        choices=("text", "dot", "mermaid", "svg", "png", "pdf", "html", "json", "markdown"),
        help="format (default: text)",
    )
    add(
        "--diff",
        metavar="REV1..REV2",
        help="what differs between two git revisions; REV alone: between it and the work tree",
    )
    add("--optimized", action="store_true", help="after the passes that need no lookup")
    passflags.add_passes(parser, shows="draw the graph before the passes and after each that changes it")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.diff is not None:
        from pybuild.cli.review import command

        return command.run(options)
    if options.format == "markdown":
        raise flags.UsageError("markdown is a format of --diff", hint="use mermaid for a graph alone")
    from pybuild.viz.drawing import format_of

    path = None if options.output in (None, "-") else Path(options.output)
    with flags.value_of("--output"):
        chosen = options.format or ("text" if path is None else format_of(path))
    if path is None and chosen in ("png", "pdf") and sys.stdout.isatty():
        raise flags.UsageError(f"{chosen} is not written to a terminal", hint=f"add -o graph.{chosen}")
    passflags.passes_of(options)
    state = program.load(options).state
    drawing = _drawing(options, state, chosen)
    if path is not None:
        try:
            drawing.save(path, chosen)
        except OSError as error:
            raise flags.UsageError(f'cannot write "{path}": {error.strerror}') from None
        print(f"wrote {path}", file=sys.stderr)
    else:
        sys.stdout.buffer.write(drawing.data)
        sys.stdout.buffer.flush()
    return 0


def _drawing(options: argparse.Namespace, state: State, chosen: str) -> Drawing:
    from pybuild.viz.drawing import Drawing

    graph = state.graph()
    if not (options.optimized or options.passes is not None or options.level != 1 or options.squash):
        return Drawing(graph, format=chosen)
    from pybuild.platform import host_platform

    made, reports = passflags.optimized(options, graph, state.platform or host_platform())
    if options.optimized or options.passes is None:
        return Drawing(made, format=chosen)
    from pybuild.viz.sequence import SequenceDrawing

    after = [(f"after {report.name}", report.graph_after) for report in reports if report.changed]
    return SequenceDrawing([("as written", graph), *after], format=chosen)
