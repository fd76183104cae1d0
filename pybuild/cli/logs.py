"""`pybuild logs`: what the steps of the last build printed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pybuild.cli import flags
from pybuild.errors import TargetError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pybuild.engine.buildlog import BuildLog, LoggedStep
    from pybuild.store.store import Store

_WORDS: Final = {"cached": "CACHED", "failed": "ERROR", "canceled": "CANCELED", "skipped": "NOT RUN"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = (
        "Of the last build that was started in this directory. TARGET@STEP, or @STEP alone, names a step by its "
        "number, the start of its digest, its target, its line (:12) or a part of its name, and prints its log and "
        "nothing else; of a step that was cached, that of when it ran."
    )
    parser.add_argument("name", metavar="TARGET[@STEP]", nargs="?", default="", help="which target, which step")
    parser.add_argument("--list", action="store_true", help="list the builds that have logs, those elsewhere too")
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        TargetError: nothing is known of such a build, or it has no such step.
    """
    from pybuild.engine.buildlog import remembered
    from pybuild.engine.stepnames import find_step

    store = flags.open_store()
    builds = remembered(store)
    if options.list:
        _print_list(builds, options.format)
        return 0
    target, _, step = options.name.partition("@")
    log = _last(builds, target)
    steps = log.steps
    if "@" in options.name:
        number = find_step([each.name for each in steps], step).number
        steps = tuple(each for each in steps if each.name.number == number)
        if options.format != "json":
            sys.stdout.flush()
            sys.stdout.buffer.write(steps[0].log(store))
            return 0
    if options.format == "json":
        print(_as_json(log, steps, store))
    else:
        _print(log, store)
    return 0


def _last(builds: Sequence[BuildLog], target: str) -> BuildLog:
    here = [log for log in builds if log.directory == str(Path.cwd())]
    for log in here:
        if target in ("", ".", log.target):
            return log
    if here:
        known = ", ".join(dict.fromkeys(f'"{log.target}"' for log in here if log.target))
        hint = f"there are those of {known}" if known else ""
        raise TargetError(f'nothing is known of a build of "{target}" here', hint=hint)
    raise TargetError(
        "nothing is known of a build that was started in this directory",
        hint="--list shows those of other directories" if builds else "build something first: pybuild build",
    )


def _print(log: BuildLog, store: Store) -> None:
    print(f"{log.target or 'build'}: {_state(log)} {_moment(log.time)}, {log.seconds:.1f}s")
    for step in log.steps:
        took = f"{step.seconds:.1f}s" if step.seconds else ""
        place = f"  ({step.name.place})" if step.name.place else ""
        print(f"\n#{step.name.number} {step.name.line}{place}  {_WORDS.get(step.state, 'DONE')} {took}".rstrip())
        sys.stdout.flush()
        text = step.log(store)
        sys.stdout.buffer.write(text if not text or text.endswith(b"\n") else text + b"\n")
    if log.error:
        print(f"\n{log.error}")


def _state(log: BuildLog) -> str:
    return "failed" if log.error else "finished"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _print_list(builds: Sequence[BuildLog], form: str) -> None:
    if form == "json":
        import json

        print(json.dumps([_about(log) for log in builds], indent=2))
        return
    rows = [("TARGET", "WHEN", "STATE", "TIME", "DIRECTORY")]
    rows += [
        (log.target or "-", _moment(log.time), _state(log), f"{log.seconds:.1f}s", log.directory) for log in builds
    ]
    flags.print_table(rows, right=[3])


def _about(log: BuildLog) -> dict[str, object]:
    return {
        "target": log.target,
        "directory": log.directory,
        "platform": log.platform,
        "time": round(log.time, 3),
        "seconds": round(log.seconds, 3),
        "state": _state(log),
        "error": log.error,
    }


def _as_json(log: BuildLog, steps: Sequence[LoggedStep], store: Store) -> str:
    import json

    shown = [
        {
            "number": step.name.number,
            "name": step.name.name,
            "digest": step.name.digest,
            "target": step.name.stage,
            "place": step.name.place,
            "state": step.state,
            "seconds": step.seconds,
            "log": step.log(store).decode(errors="replace"),
        }
        for step in steps
    ]
    return json.dumps({**_about(log), "steps": shown}, indent=2)
