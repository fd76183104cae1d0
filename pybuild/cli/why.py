"""`pybuild explain --why`: why steps run, or ran in the last build, and how long that takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pybuild.cli import flags, passflags, program
from pybuild.errors import TargetError

if TYPE_CHECKING:
    import argparse

    from pybuild.engine.reasons import Explanation, Reason
    from pybuild.llb.vertex import Vertex
    from pybuild.viz.diff.model import FieldChange, FileChange

_NAME: Final = 60
_FILES: Final = 10
_WORDS: Final = {"run": "runs", "maybe": "may run", "ran": "ran", "cached": "cached", "source": "source"}


def run(options: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        TargetError: no step is called so.
    """
    from pybuild._api import embedded
    from pybuild._request import request_of
    from pybuild.engine.localbuild import Build
    from pybuild.engine.reasons import reasons

    passes = passflags.passes_of(options)
    secrets = flags.secrets(options)
    with flags.session(options, secrets) as session:
        wanted = program.load(options, secrets)
        request = request_of(
            wanted.heads,
            no_cache=wanted.no_cache,
            passes=passes,
            squash=options.squash,
        )
        engine = embedded()
        build = Build(engine.store(), request, session)
        build.plan(learn=False)
        found = reasons(build)
    shown = _wanted(found, options.why)
    print(_as_json(found, shown) if options.format == "json" else "\n".join(_lines(found, shown)))
    return 0


def _wanted(found: Explanation, text: str) -> Sequence[Reason]:
    """Those that are asked for: all that run, or those of a step's name, target or line."""
    if not text:
        return found.running
    shown = [reason for reason in found.reasons if _is_named(reason.vertex, text)]
    if not shown:
        raise TargetError(
            f'there is no step "{text}"', hint="name a step by its target, its line (:12), or a part of its name"
        )
    return shown


def _is_named(vertex: Vertex, text: str) -> bool:
    from pybuild.engine.stepnames import is_at, place_of
    from pybuild.viz.model import STAGE

    if text == dict(vertex.metadata.description).get(STAGE, "") or text in vertex.name:
        return True
    return is_at([place_of(location) for location in vertex.locations], text)


def _lines(found: Explanation, shown: Sequence[Reason]) -> Iterator[str]:
    before = f", compared with that of {_moment(found.before)}" if found.before else ""
    if found.done:
        yield f"Everything is cached. The last build, {_moment(found.time)}{before}:"
    elif found.running:
        yield f"What a build would run now{before}:"
    else:
        yield "Everything is cached."
    for reason in shown:
        yield ""
        yield from _step(reason)
    if found.running:
        count = len(found.running)
        unknown = sum(not reason.seconds for reason in found.running)
        known = f", about {found.seconds:.1f} s of work" if found.seconds else ""
        rest = f" ({unknown} of unknown duration)" if unknown and not found.done else ""
        verb = "ran" if found.done else "would run"
        yield f"\n{count} of {len(found.reasons)} steps {verb}{known}{rest}"


def _step(reason: Reason) -> Iterator[str]:
    took = f" {'in' if reason.outcome == 'ran' else 'in about'} {reason.seconds:.1f} s" if reason.seconds else ""
    yield f"{_title(reason.vertex)}"
    yield f"  {_WORDS[reason.outcome]}{took}: {reason.words}"
    yield from _changes(reason.fields, reason.files, "    ")
    for cause in reason.after if not reason.fields else ():
        yield f"    after {_title(cause.vertex)}"
        yield from _changes(cause.fields, cause.files, "      ")


def _changes(fields: Sequence[FieldChange], files: Sequence[FileChange], indent: str) -> Iterator[str]:
    from pybuild.viz.diff.words import FILE_MARKS, lines_of

    for change in fields:
        yield f"{indent}{change.field}"
        yield from (f"{indent}  {mark} {line}" for mark, line in lines_of(change))
    yield from (f"{indent}{FILE_MARKS[file.status]} {file.path}" for file in files[:_FILES])
    if len(files) > _FILES:
        yield f"{indent}and {len(files) - _FILES} more files"


def _title(vertex: Vertex) -> str:
    name = " ".join(vertex.name.split())
    place = _place(vertex)
    return (name if len(name) <= _NAME else f"{name[: _NAME - 1]}…") + (f"  ({place})" if place else "")


def _place(vertex: Vertex) -> str:
    from pybuild.engine.stepnames import place_of

    return place_of(vertex.locations[0]) if vertex.locations else ""


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _as_json(found: Explanation, shown: Sequence[Reason]) -> str:
    import json

    import attrs

    steps = [
        {
            "name": reason.vertex.name,
            "digest": reason.vertex.digest,
            "place": _place(reason.vertex),
            "outcome": reason.outcome,
            "seconds": round(reason.seconds, 3),
            "reason": reason.words,
            "fields": [attrs.asdict(change) for change in reason.fields],
            "files": [attrs.asdict(change) for change in reason.files],
            "after": [
                {
                    "name": cause.vertex.name,
                    "digest": cause.vertex.digest,
                    "place": _place(cause.vertex),
                    "fields": [attrs.asdict(change) for change in cause.fields],
                    "files": [attrs.asdict(change) for change in cause.files],
                }
                for cause in reason.after
            ],
        }
        for reason in shown
    ]
    about = {"done": found.done, "time": found.time or None, "before": found.before or None}
    return json.dumps({**about, "seconds": round(found.seconds, 3), "steps": steps}, indent=2)
