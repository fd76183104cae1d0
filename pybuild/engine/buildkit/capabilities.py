"""What an engine can do, and a graph that it can solve: what it lacks is replaced where something equal exists.

Engines name their capabilities (solver/pb/caps.go); one that names none is asked for anything. What has no replacement
is an error with the step's line before anything runs. A capability that this client does not know never matters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pybuild.errors import CapabilityError
from pybuild.llb.caps import caps_of
from pybuild.llb.files import CopyAction, FileAction, RmAction, SymlinkAction
from pybuild.llb.numbering import renumbered
from pybuild.llb.ops import ExecOp, FileOp, SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.protocols import AttestSpec

_SYMLINK: Final = "file.symlink.create"
_RESOURCES: Final = "exec.meta.linux.resources"
_REQUIRED: Final = "file.copy.requiredpaths"
_EXTRAS: Final = {
    _RESOURCES: "memory and processor limits of steps are not applied",
    _REQUIRED: "copies do not check that what they are told to copy exists",
}
_UNSAID: Final = {"file.copy.modestring": _SYMLINK}
"""Capabilities that no engine names, though it has them: those that name the other one, which came later, do."""
LINKS: Final = "pybuild-symlinks"
"""The name of the directory that holds symbolic links for engines that cannot make any."""


def needed(vertex: Vertex) -> set[str]:
    """The capabilities that a vertex needs, those included that Go's client forgets to ask for."""
    found = caps_of(vertex)
    if isinstance(vertex.op, FileOp):
        for action in vertex.op.actions:
            found.update(_of_action(action))
    return found


def _of_action(action: FileAction) -> Iterator[str]:
    match action:
        case SymlinkAction():
            yield _SYMLINK
        case RmAction() if action.allow_wildcard:
            yield "file.rm.wildcard"
        case CopyAction():
            if action.include_patterns or action.exclude_patterns:
                yield "file.copy.includeexcludepatterns"
            if action.required_paths:
                yield _REQUIRED
            if action.always_replace_existing_dest_paths:
                yield "file.copy.alwaysreplaceexistingdestpaths"
            if action.mode_str:
                yield "file.copy.modestring"
        case _:
            return


def check(graph: Graph, known: frozenset[str]) -> None:
    """Every step can be done by an engine with the capabilities `known`; empty: it does not say.

    Raises:
        CapabilityError: one cannot.
    """
    if not known:
        return
    for vertex in graph.vertices:
        lacking = sorted(name for name in needed(vertex) if name not in known and _UNSAID.get(name) not in known)
        if lacking:
            raise CapabilityError(
                f'"{vertex.name}" needs {", ".join(lacking)}, which the engine does not have',
                hint="a newer BuildKit has it, and so has the embedded engine: --engine embedded",
            ).at(vertex.locations)


def without_extras(graph: Graph, known: frozenset[str], degraded: Callable[[str], object]) -> Graph:
    """For an engine that lacks what never changes a result: limits of resources, and checks that paths exist.

    Args:
        graph: what shall be solved.
        known: what the engine can do; empty when it does not say.
        degraded: is told about each kind, once.
    """
    if not known:
        return graph
    used = {name for vertex in graph.vertices for name in needed(vertex) if name in _EXTRAS} - known
    for name in sorted(used):
        degraded(f"the engine lacks {name}: {_EXTRAS[name]}")

    def change(vertex: Vertex) -> Vertex:
        op, metadata = vertex.op, vertex.metadata
        if _RESOURCES in used and isinstance(op, ExecOp) and metadata.resources is not None:
            return vertex.replace(metadata=metadata.replace(resources=None))
        if _REQUIRED in used and isinstance(op, FileOp):
            actions = tuple(
                action.replace(required_paths=()) if isinstance(action, CopyAction) else action for action in op.actions
            )
            return vertex if actions == op.actions else vertex.replace(op=op.replace(actions=actions))
        return vertex

    return rewrite(graph, change) if used else graph


def with_links_copied(graph: Graph, known: frozenset[str], directory: Path, degraded: Callable[[str], object]) -> Graph:
    """For an engine that cannot make symbolic links: they are made here, in `directory`, and copied by the step.

    Args:
        graph: what shall be solved.
        known: what the engine can do.
        directory: is offered to the engine under the name `LINKS`.
        degraded: is told about it, once.
    """
    if not known or _SYMLINK in known or not any(map(makes_links, graph.vertices)):
        return graph
    degraded(f"the engine lacks {_SYMLINK}: symbolic links are sent from here instead")
    links: dict[str, str] = {}
    source = Edge(Vertex(SourceOp(identifier=f"local://{LINKS}")))

    def change(vertex: Vertex) -> Vertex:
        if not makes_links(vertex) or not isinstance(vertex.op, FileOp):
            return vertex
        number = len(vertex.inputs)
        op = renumbered(vertex.op, range(number), number + 1)
        assert isinstance(op, FileOp)
        actions = tuple(_copied(action, number, links, directory) for action in op.actions)
        metadata = vertex.metadata if vertex.metadata.name else vertex.metadata.named(vertex.name)
        return vertex.replace(op=op.replace(actions=actions), inputs=(*vertex.inputs, source), metadata=metadata)

    return rewrite(graph, change)


def makes_links(vertex: Vertex) -> bool:
    """Whether a vertex creates symbolic links."""
    return isinstance(vertex.op, FileOp) and any(isinstance(action, SymlinkAction) for action in vertex.op.actions)


def _copied(action: FileAction, source: int, links: dict[str, str], directory: Path) -> FileAction:
    """A symlink action as the copy of a link in the client's directory, which is the input `source`."""
    if not isinstance(action, SymlinkAction):
        return action
    name = links.get(action.old_path)
    if name is None:
        name = links[action.old_path] = str(len(links))
        os.symlink(action.old_path, directory / name)
    return CopyAction(
        input=action.input,
        secondary_input=source,
        output=action.output,
        source=f"/{name}",
        dest=action.new_path,
        owner=action.owner,
        timestamp=action.timestamp,
    )


def attest_options(attests: Sequence[AttestSpec]) -> dict[str, str]:
    """What an engine is told of the attestations to make; it makes provenance itself.

    Args:
        attests: what the request asks for.

    Raises:
        CapabilityError: a bill of materials is among them, which frontends make, by an image.
    """
    if any(spec.type == "sbom" for spec in attests):
        raise CapabilityError(
            "a bill of materials is made by the embedded engine alone",
            hint="use --engine embedded, or leave --sbom out",
        )
    return {f"attest:{spec.type}": ",".join(f"{name}={value}" for name, value in spec.attrs) for spec in attests}
