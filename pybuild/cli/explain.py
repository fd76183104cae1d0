"""`pybuild explain`: the steps of a target as text, and which pass did what to them, or why they run.

Nothing is run; only `--why` looks anything up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags, passflags, program

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pybuild.llb.vertex import Graph
    from pybuild.passes.pipeline import PassReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    program.add_arguments(parser)
    flags.add_session(parser)
    parser.add_argument(
        "--why",
        metavar="STEP",
        nargs="?",
        const="",
        help="why the steps that would run would do so, compared with the last build, and how long they take; "
        "why those of the last build ran when everything is cached; STEP: a target, a line or a part of a name",
    )
    passflags.add_passes(parser, shows="say what each pass did and what it saves")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.why is not None:
        from pybuild.cli import why

        return why.run(options)
    passflags.passes_of(options)
    platform, state = program.load(options).heads[0]
    graph, reports = passflags.optimized(options, state.graph(), platform)
    if options.format == "json":
        print(_as_json(graph, reports))
        return 0
    from pybuild.viz.text import explain

    print(explain(graph))
    if options.passes is not None:
        from pybuild.cli.receipts import to_text

        print(f"\n{to_text(reports)}")
    return 0


def _as_json(graph: Graph, reports: Sequence[PassReport]) -> str:
    import json

    import attrs

    from pybuild.cli.receipts import to_json
    from pybuild.viz.model import model_of

    return json.dumps({**attrs.asdict(model_of(graph)), "passes": to_json(reports)}, indent=2)
