"""What `--call=outline` shows of a stage, collected while it is lowered: arguments, secrets and ssh agents."""

from __future__ import annotations

from typing import Self

import attrs

from pybuild.frontend.dockerfile.instructions import ArgDefinition
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.values import Value


@attrs.define
class ArgFact:
    """One argument: how it is declared, its value in this build, the arguments its default uses, and where."""

    definition: ArgDefinition
    lines: Lines
    value: str = ""
    deps: set[str] = attrs.field(factory=set[str])


@attrs.frozen
class NeedFact(Value):
    """One secret or ssh agent that a RUN mounts."""

    required: bool
    lines: Lines


@attrs.define
class OutlineFacts:
    """The facts of one stage."""

    args: dict[str, ArgFact] = attrs.field(factory=dict[str, ArgFact])
    used: set[str] = attrs.field(factory=set[str])
    secrets: dict[str, NeedFact] = attrs.field(factory=dict[str, NeedFact])
    ssh: dict[str, NeedFact] = attrs.field(factory=dict[str, NeedFact])

    def copy(self) -> Self:
        """A copy whose changes do not show here."""
        return type(self)(dict(self.args), set(self.used), dict(self.secrets), dict(self.ssh))

    def used_args(self) -> list[ArgFact]:
        """The arguments that are used, directly or by another one's default."""
        found: dict[str, None] = {}
        stack = list(self.used)
        while stack:
            name = stack.pop()
            if name in found:
                continue
            found[name] = None
            if name in self.args:
                stack += self.args[name].deps
        return [self.args[name] for name in found if name in self.args]
