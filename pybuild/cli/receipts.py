"""What passes did, as text and as JSON: to which steps, at which lines, and what it saves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from pybuild.llb.vertex import Vertex
from pybuild.location import display_path
from pybuild.passes.receipts import Change, Measure, PassReport
from pybuild.viz.model import limits_text

_SHOWN = 6
_NAME = 48
_WORDS = {"vertices": "step", "layers": "layer", "invalidations": "invalidation"}


def to_text(reports: Sequence[PassReport]) -> str:
    """The receipts of passes that ran one after the other."""
    return "\n".join(_lines(reports))


def _lines(reports: Sequence[PassReport]) -> Iterator[str]:
    idle = list(dict.fromkeys(report.name for report in reports if not report.changed))
    worked = [report for report in reports if report.changed]
    for report in worked:
        yield f"{report.name}: {_saved(report.before, report.after)}"
        for change in report.changes[:_SHOWN]:
            yield from _change(change)
        if len(report.changes) > _SHOWN:
            yield f"  and {len(report.changes) - _SHOWN} more"
    idle = [name for name in idle if name not in {report.name for report in worked}]
    if idle:
        yield f"nothing to do: {', '.join(idle)}"
    if reports:
        yield f"in all: {_totals(reports[0].before, reports[-1].after)}"


def _saved(before: Measure, after: Measure) -> str:
    parts: list[str] = []
    for name, word in _WORDS.items():
        saved: int = getattr(before, name) - getattr(after, name)
        if saved:
            many = "" if abs(saved) == 1 else "s"
            parts.append(f"{abs(saved)} {word}{many} {'fewer' if saved > 0 else 'more'}")
    return ", ".join(parts) or "as many steps, layers and invalidations"


def _totals(before: Measure, after: Measure) -> str:
    return ", ".join(f"{word}s {getattr(before, name)} to {getattr(after, name)}" for name, word in _WORDS.items())


def _change(change: Change) -> Iterator[str]:
    yield f"  {change.what}: {_vertices(change.before)}"
    if change.after and {_name(vertex) for vertex in change.after} != {_name(vertex) for vertex in change.before}:
        yield f"    now: {_vertices(change.after)}"


def _vertices(vertices: Sequence[Vertex]) -> str:
    groups: dict[str, list[Vertex]] = {}
    for vertex in vertices:
        groups.setdefault(_name(vertex), []).append(vertex)
    shown = [_group(name, group) for name, group in list(groups.items())[:_SHOWN]]
    return _listed(shown, len(groups))


def _name(vertex: Vertex) -> str:
    name = vertex.name if len(vertex.name) <= _NAME else vertex.name[: _NAME - 1] + "…"
    return name + limits_text(vertex)


def _group(name: str, vertices: Sequence[Vertex]) -> str:
    places = list(dict.fromkeys(place for vertex in vertices for place in _places(vertex)))
    count = f"{len(vertices)} times " if len(vertices) > 1 else ""
    return f"{count}{name} ({_listed(places[:_SHOWN], len(places))})" if places else f"{count}{name}"


def _listed(shown: Sequence[str], count: int) -> str:
    more = [f"and {count - len(shown)} more"] if count > len(shown) else []
    return ", ".join([*shown, *more])


def _places(vertex: Vertex) -> list[str]:
    return [f"{display_path(place.file).rpartition('/')[2]}:{place.line}" for place in vertex.locations]


def to_json(reports: Sequence[PassReport]) -> list[dict[str, object]]:
    """The same, complete, for programs."""
    return [
        {
            "pass": report.name,
            "changed": report.changed,
            "before": attrs.asdict(report.before),
            "after": attrs.asdict(report.after),
            "changes": [
                {
                    "what": change.what,
                    "before": [_as_json(vertex) for vertex in change.before],
                    "after": [_as_json(vertex) for vertex in change.after],
                }
                for change in report.changes
            ],
        }
        for report in reports
    ]


def _as_json(vertex: Vertex) -> dict[str, object]:
    return {"name": vertex.name, "digest": vertex.digest, "places": _places(vertex)}


__all__ = ["to_json", "to_text"]
