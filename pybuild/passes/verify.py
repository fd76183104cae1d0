"""The legal graph, written down as a table of rules and checked between passes.

A broken rule is a bug in a frontend or a pass, never the user's mistake, so it is an InternalError that names the
vertex and the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum

from pybuild.errors import InternalError
from pybuild.llb.files import CopyAction
from pybuild.llb.mounts import NO_OUTPUT, BindMount, Mount, SecretMount, SshMount
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, PassthroughOp
from pybuild.llb.vertex import Graph, Vertex


class Level(IntEnum):
    """DEFINITION: as a frontend made it. RESOLVED: ready to be marshalled or solved."""

    DEFINITION = 0
    RESOLVED = 1


def _input_numbers(vertex: Vertex) -> Iterator[tuple[int, int]]:
    """(number, first number that is out of range) for every reference to an input or an earlier action."""
    op, count = vertex.op, len(vertex.inputs)
    match op:
        case ExecOp():
            yield from ((getattr(mount, "input", -1), count) for mount in op.mounts)
        case FileOp():
            for position, action in enumerate(op.actions):
                yield action.input, count + position
                if isinstance(action, CopyAction):
                    yield action.secondary_input, count + position
        case MergeOp(inputs=numbers) | PassthroughOp(outputs=numbers):
            yield from ((number, count) for number in numbers)
        case DiffOp():
            yield op.lower, count
            yield op.upper, count
        case BuildOp():
            yield op.builder, count
        case _:
            return


def _inputs_exist(vertex: Vertex) -> bool:
    return all(-1 <= number < limit for number, limit in _input_numbers(vertex))


def _late(mount: Mount) -> bool:
    return isinstance(mount, SecretMount | SshMount)


def _mounts_sorted(vertex: Vertex) -> bool:
    if not isinstance(vertex.op, ExecOp):
        return True
    keys = [(_late(mount), b"" if _late(mount) else mount.target.encode()) for mount in vertex.op.mounts]
    return keys == sorted(keys)


def _root_first(vertex: Vertex) -> bool:
    return not isinstance(vertex.op, ExecOp) or bool(vertex.op.mounts and vertex.op.mounts[0].target == "/")


def _outputs_in_order(vertex: Vertex) -> bool:
    if not isinstance(vertex.op, ExecOp):
        return True
    outputs = [m.output for m in vertex.op.mounts if isinstance(m, BindMount) and m.output != NO_OUTPUT]
    return outputs == list(range(len(outputs)))


def _one_file_output(vertex: Vertex) -> bool:
    return not isinstance(vertex.op, FileOp) or [a.output for a in vertex.op.actions if a.output >= 0] == [0]


def _has_arguments(vertex: Vertex) -> bool:
    return not isinstance(vertex.op, ExecOp) or bool(vertex.op.meta.args)


def _inherits_nothing(vertex: Vertex) -> bool:
    return not isinstance(vertex.op, ExecOp) or vertex.op.meta.inherit is None


def _absolute_paths(vertex: Vertex) -> bool:
    op = vertex.op
    if isinstance(op, ExecOp):
        return op.meta.cwd.startswith("/")
    if isinstance(op, FileOp):
        names = ("path", "dest", "new_path")
        return all(getattr(action, name, "/").startswith("/") for action in op.actions for name in names)
    return True


RULES: tuple[tuple[Level, str, Callable[[Vertex], bool]], ...] = (
    (Level.DEFINITION, "every input that an op names exists", _inputs_exist),
    (Level.DEFINITION, "an exec has arguments", _has_arguments),
    (Level.DEFINITION, "the root mount of an exec comes first", _root_first),
    (Level.DEFINITION, "mounts are sorted by target, secrets and ssh last", _mounts_sorted),
    (Level.DEFINITION, "outputs of an exec are numbered in the order of its mounts", _outputs_in_order),
    (Level.DEFINITION, "one action of a file op has output 0, the others none", _one_file_output),
    (Level.RESOLVED, "nothing is inherited any more", _inherits_nothing),
    (Level.RESOLVED, "paths are absolute", _absolute_paths),
)


def verify(graph: Graph, level: Level = Level.RESOLVED) -> None:
    """Check every vertex of `graph`.

    Raises:
        InternalError: a rule of the level, or of a lower one, does not hold.
    """
    for vertex in graph.vertices:
        for needed, rule, holds in RULES:
            if needed <= level and not holds(vertex):
                raise InternalError(f"{vertex!r} breaks a rule of the graph: {rule}", locations=vertex.locations)
