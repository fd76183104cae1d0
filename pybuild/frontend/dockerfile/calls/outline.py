"""`--call outline`: the build arguments, secrets and ssh agents that a target and the stages below it use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from pybuild.frontend.dockerfile.calls.printing import (
    included_in,
    json_text,
    located,
    sources_base64,
    table,
    without_empty,
)
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lower.outline import NeedFact
from pybuild.frontend.dockerfile.lower.stage import StageState
from pybuild.location import SourceText


@attrs.frozen
class OutlineArg:
    """A build argument and the value that it has in this build."""

    name: str
    value: str
    description: str
    lines: Lines


@attrs.frozen
class OutlineNeed:
    """A secret or ssh agent, by id."""

    name: str
    required: bool
    lines: Lines


@attrs.frozen
class Outline:
    """What a target can be given."""

    data: bytes
    name: str
    description: str
    args: tuple[OutlineArg, ...]
    secrets: tuple[OutlineNeed, ...]
    ssh: tuple[OutlineNeed, ...]

    def text(self) -> str:
        """Tables of what there is."""
        parts: list[str] = []
        if self.name or self.description:
            rows = [("TARGET:", self.name or "(default)")]
            rows += [("DESCRIPTION:", self.description)] if self.description else []
            parts.append(table(rows, 1))
        if self.args:
            values = [(arg.name, arg.value, arg.description) for arg in self.args]
            parts.append(table([("BUILD ARG", "VALUE", "DESCRIPTION"), *values], 3))
        for title, needs in (("SECRET", self.secrets), ("SSH", self.ssh)):
            if needs:
                flags = [(need.name, "true" if need.required else "") for need in needs]
                parts.append(table([(title, "REQUIRED"), *flags], 3))
        return "".join(part + "\n" for part in parts)

    def json(self) -> str:
        """All that is known, with the Dockerfile itself."""
        return json_text(self.document())

    def document(self) -> dict[str, object]:
        """What `json` prints."""
        included = included_in(item.lines for item in (*self.args, *self.secrets, *self.ssh))
        args = [
            {
                "name": arg.name,
                **without_empty(description=arg.description, value=arg.value, location=located(arg.lines, included)),
            }
            for arg in self.args
        ]
        return without_empty(
            name=self.name,
            description=self.description,
            args=args,
            secrets=[_need(need, included) for need in self.secrets],
            ssh=[_need(need, included) for need in self.ssh],
            sources=sources_base64(self.data, included),
        )


def _need(need: OutlineNeed, included: Sequence[SourceText]) -> dict[str, object]:
    return {"name": need.name, **without_empty(required=need.required, location=located(need.lines, included))}


def outline_of(target: StageState, data: bytes) -> Outline:
    """The outline of a lowered target.

    Args:
        target: the stage.
        data: the Dockerfile.
    """
    stages = list(_with_dependencies(target))
    args: dict[str, OutlineArg] = {}
    for stage in stages:
        for fact in stage.outline.used_args():
            definition = fact.definition
            args.setdefault(
                definition.name, OutlineArg(definition.name, fact.value, definition.description, fact.lines)
            )
    return Outline(
        data=data,
        name=target.name,
        description=target.stage.description if target.stage is not None else "",
        args=tuple(sorted(args.values(), key=lambda arg: (arg.lines.first, arg.name))),
        secrets=_needs(stage.outline.secrets for stage in stages),
        ssh=_needs(stage.outline.ssh for stage in stages),
    )


def _needs(facts: Iterable[Mapping[str, NeedFact]]) -> tuple[OutlineNeed, ...]:
    found: dict[str, OutlineNeed] = {}
    for by_name in facts:
        for name, fact in by_name.items():
            found.setdefault(name, OutlineNeed(name, fact.required, fact.lines))
    return tuple(sorted(found.values(), key=lambda need: (need.lines.first, need.name)))


def _with_dependencies(target: StageState) -> Iterator[StageState]:
    """The stage, its base, and the stages that it copies from, nearest first; what is met first is what counts."""
    seen: set[int] = set()
    stack = [target]
    while stack:
        stage = stack.pop()
        if id(stage) in seen:
            continue
        seen.add(id(stage))
        yield stage
        base = [] if stage.base is None else [stage.base]
        stack += reversed([*base, *stage.deps])
