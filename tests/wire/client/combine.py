"""Vertices that put states together: merge, diff, passthrough, build, definitions from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pybuild.llb import construct
from pybuild.llb.definition import Definition
from pybuild.llb.unmarshal import unmarshal
from pybuild.llb.vertex import Edge, Vertex
from tests.wire.client.constraints import Constraints, collected
from tests.wire.client.operations import Operation, OperationOutput
from tests.wire.client.sources import Change
from tests.wire.client.states import State, StateOption, new_state
from tests.wire.client.structs import PassthroughInput, PlatformSpec


def merge(inputs: Sequence[State], *options: Any) -> State:
    present = [state for state in inputs if state.Output() is not None]
    if len(present) < 2:
        return present[0] if present else new_state(None)
    constraints = collected(options)

    def made(given: Constraints) -> Edge | None:
        return construct.merge([state.edge(given) for state in present], **constraints.of_vertex(given))

    return present[0].WithOutput(OperationOutput(Operation(made)))


def diff(lower: State, upper: State, *options: Any) -> State:
    if lower.Output() is None:
        return new_state(None) if upper.Output() is None else upper
    constraints = collected(options)

    def made(given: Constraints) -> Edge | None:
        return construct.diff(lower.edge(given), upper.edge(given), **constraints.of_vertex(given))

    return lower.WithOutput(OperationOutput(Operation(made)))


def _passthrough(name: str, inputs: Sequence[PassthroughInput], options: Sequence[Any]) -> list[OperationOutput]:
    constraints = collected(options)

    def made(given: Constraints) -> Vertex:
        edges = [(item.State.edge(given), item.Output) for item in inputs]
        return construct.passthrough(name, edges, **constraints.of_vertex(given))[0].vertex

    operation = Operation(made)
    count = sum(item.Output and item.State.Output() is not None for item in inputs)
    return [OperationOutput(operation, lambda number=number: number) for number in range(count)] or [
        OperationOutput(operation, error="invalid passthrough output 0")
    ]


class PassthroughOp:
    """`llb.NewPassthroughOp`."""

    def __init__(self, name: str, inputs: Sequence[PassthroughInput], *options: Any) -> None:
        self._outputs = _passthrough(name, inputs, options)

    def Output(self) -> OperationOutput:
        return self._outputs[0]

    def OutputAt(self, number: int) -> OperationOutput:
        if 0 <= number < len(self._outputs):
            return self._outputs[number]
        return OperationOutput(Operation(lambda _: None), error=f"invalid passthrough output {number}")


def passthrough(name: str, inputs: Sequence[PassthroughInput], *options: Any) -> State:
    return new_state(PassthroughOp(name, inputs, *options).Output())


def requires(state: State, name: str, dependencies: Sequence[State]) -> State:
    if not dependencies:
        return state
    inputs = [PassthroughInput(state, True), *(PassthroughInput(item) for item in dependencies)]
    return state.WithOutput(PassthroughOp(name, inputs).Output())


def build(*options: Any) -> StateOption:
    """`llbbuild.Build`."""
    constraints = Constraints()
    filenames: list[str] = []
    for option in options:
        option.apply((constraints, filenames))

    def on(state: State) -> State:
        def made(given: Constraints) -> Vertex | None:
            edge = state.edge(given)
            assert edge is not None
            return construct.build(edge, filename="".join(filenames[-1:]), **constraints.of_vertex(given))

        return state.WithOutput(OperationOutput(Operation(made)))

    return on


class DefinitionOp:
    """`llb.DefinitionOp`: the vertex of a definition; only its output has a platform."""

    platform: PlatformSpec | None = None

    def __init__(self, head: Edge | None) -> None:
        self._head = head

    def edge(self, given: Constraints) -> Edge | None:
        """See states.Output."""
        return self._head

    def Output(self) -> OperationOutput:
        platform = None if self._head is None else self._head.vertex.constraints.platform
        spec = None if platform is None else PlatformSpec.of(platform)
        return OperationOutput(Operation(lambda _: self._head), platform=spec)


def definition_op(definition: Definition) -> tuple[DefinitionOp, None]:
    graph = unmarshal(definition)
    return DefinitionOp(graph.heads[0] if graph.heads else None), None


FUNCTIONS: Mapping[str, Any] = {
    "Merge": merge,
    "Diff": diff,
    "NewPassthrough": passthrough,
    "NewPassthroughOp": PassthroughOp,
    "PassthroughInput": PassthroughInput,
    "NewDefinitionOp": definition_op,
}
BUILD_FUNCTIONS: Mapping[str, Any] = {
    "Build": build,
    "WithFilename": lambda name: Change(lambda pair: pair[1].append(name)),
    "WithConstraints": lambda option: Change(lambda pair: option.apply(pair[0])),
}
