"""Vertices that put states together: merge, diff, passthrough, build, definitions from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pybuild.errors import DefinitionError
from pybuild.llb import construct
from pybuild.llb.definition import Definition
from pybuild.llb.unmarshal import unmarshal
from pybuild.llb.vertex import Edge, Vertex
from tests.wire.client.constraints import Constraints, collected
from tests.wire.client.operations import Operation, OperationOutput
from tests.wire.client.sources import Change
from tests.wire.client.states import Output, State, StateOption, new_state
from tests.wire.client.structs import PassthroughInput, PlatformSpec
from tests.wire.golang.interpret import NIL_POINTER, GoPanic


def merge(inputs: Sequence[State], *options: Any) -> State:
    present = [state for state in inputs or () if state.Output() is not None]
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
        edges = [(item.State.edge(given), item.Output) for item in inputs or ()]
        return construct.passthrough(name, edges, **constraints.of_vertex(given))[0].vertex

    operation = Operation(made)
    count = sum(item.Output and item.State.Output() is not None for item in inputs or ())
    # Without any, the vertex says so when it is made.
    return [OperationOutput(operation, _always(number)) for number in range(max(count, 1))]


def _always(number: int) -> Callable[[], int]:
    return lambda: number


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
    return lambda state: state.WithOutput(build_op(state.Output(), *options))


def build_op(source: Output | None, *options: Any) -> OperationOutput:
    """`llbbuild.NewBuildOp`."""
    constraints = Constraints()
    filenames: list[str] = []
    for option in options:
        option.apply((constraints, filenames))

    def made(given: Constraints) -> Vertex | None:
        edge = None if source is None else source.edge(given)
        if edge is None:
            raise GoPanic(NIL_POINTER)
        return construct.build(edge, filename="".join(filenames[-1:]), **constraints.of_vertex(given))

    return OperationOutput(Operation(made))


class DefinitionOp:
    """`llb.DefinitionOp`: the vertex of a definition; only its output has a platform."""

    platform: PlatformSpec | None = None

    def __init__(self, head: Edge | None) -> None:
        self._head = head

    def edge(self, given: Constraints) -> Edge | None:
        """See states.Output."""
        if self._head is None:
            raise DefinitionError("cannot marshal empty definition op")
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
    "NewBuildOp": build_op,
    "WithFilename": lambda name: Change(lambda pair: pair[1].append(name)),
    "WithConstraints": lambda option: Change(lambda pair: option.apply(pair[0])),
}
