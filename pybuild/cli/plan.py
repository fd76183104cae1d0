"""`pybuild plan`: what a build would run, and why. Nothing is run, started or fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags, passflags, program

if TYPE_CHECKING:
    import argparse

    from pybuild.protocols import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    program.add_arguments(parser)
    flags.add_session(parser)
    parser.add_argument("--no-cache", action="store_true", help="as if every step had to run")
    passflags.add_passes(parser)
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from pybuild._api import engine_for
    from pybuild._request import request_of

    passes = passflags.passes_of(options)
    secrets = flags.secrets(options)
    with flags.session(options, secrets) as session:
        request = request_of(
            program.load(options, secrets).heads,
            no_cache=["*"] if options.no_cache else [],
            passes=passes,
            squash=options.squash,
        )
        plan = engine_for("embedded").plan(request, session)
    if options.format == "json":
        print(_as_json(plan))
    else:
        _print_table(plan)
    return 0


def _print_table(plan: Plan) -> None:
    rows = [("STEP", "STATE", "TIME", "WHERE", "WHY")]
    for step in plan.steps:
        place = str(step.vertex.locations[0]) if step.vertex.locations else ""
        time = f"~{step.estimate:.1f}s" if step.estimate else ""
        rows.append((_shortened(step.vertex.name), step.state, time, place, step.reason))
    total = sum(step.estimate for step in plan.steps if step.state in ("run", "maybe"))
    count = sum(step.state in ("run", "maybe") for step in plan.steps)
    summary = "everything is cached" if plan.complete else f"{count} of {len(plan.steps)} steps would run"
    flags.print_table(rows, right=[2])
    print(f"\n{summary}" + (f", about {total:.1f}s of work" if total else ""))


def _as_json(plan: Plan) -> str:
    import json

    steps = [
        {
            "name": step.vertex.name,
            "digest": step.vertex.digest,
            "state": step.state,
            "reason": step.reason,
            "estimate": round(step.estimate, 3),
            "locations": [str(location) for location in step.vertex.locations],
        }
        for step in plan.steps
    ]
    return json.dumps({"complete": plan.complete, "steps": steps}, indent=2)


def _shortened(text: str, limit: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
