"""Vertices that put trees together: merge, diff, passthrough, build. Mirrors client/llb/{merge,diff,passthrough}.go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pybuild.errors import DefinitionError
from pybuild.llb.meta import NO_CONSTRAINTS, NO_METADATA, Constraints, Metadata
from pybuild.llb.ops import BuildOp, DiffOp, MergeOp, PassthroughOp
from pybuild.llb.vertex import Edge, OutputIndex, Vertex
from pybuild.location import Location

LLB_BUILDER = -1
"""`BuildOp.builder` of a build that solves a definition found in an input."""
DEFINITION_INPUT = "buildkit.llb.definition"
"""The name of that input."""


def merge(
    inputs: Sequence[Edge | None],
    *,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Edge | None:
    """The inputs laid over each other, later ones on top.

    Args:
        inputs: the trees. Empty ones (None) are dropped; one left is that one itself.
        constraints: worker filter.
        metadata: name and hints.
        locations: where it was written.
    """
    present = [edge for edge in inputs if edge is not None]
    if len(present) < 2:
        return present[0] if present else None
    op = MergeOp(inputs=tuple(range(len(present))))
    return Edge(Vertex(op, present, constraints=_anywhere(constraints), metadata=metadata, locations=locations))


def _anywhere(constraints: Constraints) -> Constraints:
    """Constraints of an op that is the same for every platform."""
    return constraints if constraints.platform is None else constraints.replace(platform=None)


def diff(
    lower: Edge | None,
    upper: Edge | None,
    *,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Edge | None:
    """What `upper` changes over `lower`.

    Args:
        lower: what to start from. With None the result is `upper` itself.
        upper: what it became; None: everything of `lower` is removed.
        constraints: worker filter.
        metadata: name and hints.
        locations: where it was written.
    """
    if lower is None:
        return upper
    edges = [lower] if upper is None else [lower, upper]
    op = DiffOp(lower=0, upper=-1 if upper is None else 1)
    return Edge(Vertex(op, edges, constraints=_anywhere(constraints), metadata=metadata, locations=locations))


def passthrough(
    id: str,  # noqa: A002  # the wire's word
    inputs: Sequence[tuple[Edge | None, bool]],
    *,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> list[Edge]:
    """Inputs handed through unchanged, so that all of them are solved where one is used.

    Args:
        id: what sets it apart from other passthroughs of the same inputs.
        inputs: each edge, and whether it is an output too. Empty ones (None) are dropped.
        constraints: worker filter.
        metadata: name and hints.
        locations: where it was written.

    Returns:
        The outputs, in the order of the inputs.

    Raises:
        DefinitionError: there is no id, no input or no output.
    """
    present = [(edge, is_output) for edge, is_output in inputs if edge is not None]
    outputs = tuple(number for number, (_, is_output) in enumerate(present) if is_output)
    for missing, message in (
        (not present, "passthrough must have at least one input"),
        (not id, "passthrough requires an id"),
        (not outputs, "passthrough must have at least one output"),
    ):
        if missing:
            raise DefinitionError(message, locations=tuple(locations))
    op = PassthroughOp(id=id, outputs=outputs)
    edges = [edge for edge, _ in present]
    made = Vertex(op, edges, constraints=_anywhere(constraints), metadata=metadata, locations=locations)
    return [Edge(made, OutputIndex(number)) for number in range(len(outputs))]


def build(
    definition: Edge,
    *,
    filename: str = "",
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """The result of solving a definition that another step wrote.

    Args:
        definition: the tree that holds the definition, as `Definition.to_bytes` writes it.
        filename: its path there; `buildkit.llb.definition` when empty.
        constraints: platform and worker filter.
        metadata: name and hints.
        locations: where it was written.
    """
    op = BuildOp(
        builder=LLB_BUILDER,
        inputs=((DEFINITION_INPUT, 0),),
        attrs={"llbbuild.filename": filename} if filename else {},  # type: ignore[arg-type]  # the converter sorts it
    )
    return Vertex(op, [definition], constraints=constraints, metadata=metadata, locations=locations)
