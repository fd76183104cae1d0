"""The graph to be: outputs whose vertices are made last, and the state that a stage carries from step to step.

What a build context transfers (`local.followpaths`) is known only when every stage has been lowered, and vertices
cannot be changed. So lowering makes outputs, which know how to make their vertex; `build` makes them, inputs first.
Mirrors `llb.Output` and `llb.State` (client/llb/state.go), whose vertices are marshalled last for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from posixpath import join
from typing import final

import attrs

from pybuild.llb.meta import NetMode
from pybuild.llb.paths import clean
from pybuild.llb.vertex import Edge
from pybuild.platform import Platform


@final
class Output:
    """One output of a vertex that will be made.

    Args:
        make: makes it; the outputs in `below` have been made by then.
        below: what it is made from.
        platform: what a state on this output runs on, when the output says so.
    """

    __slots__ = ("_edge", "_made", "below", "make", "platform")

    def __init__(
        self,
        make: Callable[[], Edge | None],
        below: Iterable[Output | None] = (),
        platform: Platform | None = None,
    ) -> None:
        self.make = make
        self.below = tuple(output for output in below if output is not None)
        self.platform = platform
        self._edge: Edge | None = None
        self._made = False

    @property
    def edge(self) -> Edge | None:
        """What was made; None for the empty tree."""
        assert self._made, "an output is used before it was made"
        return self._edge

    def build(self) -> Edge | None:
        """Make this output and all below it, each once."""
        stack: list[Output] = [self]
        while stack:
            output = stack[-1]
            if output._made:
                stack.pop()
                continue
            waiting = [below for below in output.below if not below._made]
            if waiting:
                stack += reversed(waiting)
                continue
            output._edge = output.make()
            output._made = True
            stack.pop()
        return self._edge


def edge_of(output: Output | None) -> Edge | None:
    """The edge of an output that was made; None for scratch."""
    return None if output is None else output.edge


def built(output: Output | None) -> Edge | None:
    """Make an output; None for scratch."""
    return None if output is None else output.build()


@attrs.define(kw_only=True)
class State:
    """A file system and what the next step inherits with it."""

    output: Output | None = None
    env: dict[str, str] = attrs.field(factory=dict[str, str])
    dir: str = "/"
    user: str = ""
    hostname: str = ""
    network: NetMode = NetMode.SANDBOX
    platform: Platform | None = None

    @classmethod
    def of(cls, output: Output | None) -> State:
        """A state that starts from `output`."""
        return cls(output=output, platform=None if output is None else output.platform)

    def copy(self) -> State:
        """A copy whose changes do not show here."""
        return attrs.evolve(self, env=dict(self.env))

    def set_env(self, name: str, value: str) -> None:
        """Set a variable; it moves to the end, as in `EnvList`."""
        self.env.pop(name, None)
        self.env[name] = value

    def set_dir(self, path: str) -> None:
        """Change the working directory; a relative path starts at the present one."""
        self.dir = path if path.startswith("/") else clean(join(self.dir or "/", path))

    def with_output(self, output: Output | None) -> State:
        """The same state on another file system."""
        self.output = output
        if output is not None and output.platform is not None:
            self.platform = output.platform
        return self
