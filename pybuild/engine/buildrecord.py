"""What a build was, kept so that the next one can be compared with it: why does this step run again?

The last two builds of each target that differ are kept in the store: the graph that was solved, the files that steps
used of local directories, and how each step went. A build that is the same as the last one writes nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.digest import Digest, digest_of
from pybuild.errors import PybuildError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.protocols import StepResult

if TYPE_CHECKING:
    from pybuild.engine.localbuild import Build
    from pybuild.solver.cachemap import Selection

Files = Mapping[str, str]
UsedFiles = Mapping[tuple[Digest, int], Files]
"""Path and identity of the files that a step uses of a local directory, by its digest and the number of the input."""

_VERSION: Final = 1
_STAGE: Final = "pybuild.stage"
DIRECTORY: Final = "builds"


@attrs.frozen(kw_only=True, eq=False)
class BuildRecord:
    """One build. `time` is when it ended, in seconds since the epoch; `duration` is in seconds."""

    graph: Graph
    files: UsedFiles
    steps: tuple[StepResult, ...]
    time: float
    duration: float


def selections_of(user: Vertex, number: int) -> tuple[Selection, ...]:
    """What a step uses of an input, as the cache sees it."""
    from pybuild.solver.cachemap import Selection, cache_map

    inputs = () if isinstance(user.op, SourceOp) else cache_map(user).inputs
    return (inputs[number].selections if number < len(inputs) else ()) or (Selection(path="/"),)


def used_files(build: Build) -> UsedFiles:
    """The files that the steps of a build use of local directories."""
    found: dict[tuple[Digest, int], Files] = {}
    for vertex in build.graph.vertices:
        for number, edge in enumerate(vertex.inputs):
            op = edge.vertex.op
            if isinstance(op, SourceOp) and op.scheme == "local":
                found[vertex.digest, number] = build.sources.files(edge.vertex, selections_of(vertex, number))
    return found


def keep(build: Build, steps: tuple[StepResult, ...], started: float) -> None:
    """Keep what a finished build was, unless the last one was the same.

    It costs the build nothing but time when that cannot be written.

    Args:
        build: planned and done.
        steps: how its steps went.
        started: when it began, in seconds since the epoch.
    """
    path = _path(build)
    if path is None:
        return
    mark = mark_of_build(build)
    ran = any(step.state == "done" for step in steps)
    if not ran and mark_of_file(path) == mark:
        return
    import pickle
    import zlib

    now = time.time()
    staging = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    with contextlib.suppress(OSError, PybuildError):  # such as a directory that is gone by now
        record = BuildRecord(graph=build.graph, files=used_files(build), steps=steps, time=now, duration=now - started)
        path.parent.mkdir(exist_ok=True)
        staging.write_bytes(mark + zlib.compress(pickle.dumps(record), 1))
        with contextlib.suppress(FileNotFoundError):
            path.replace(_before(path))
        staging.replace(path)


def kept(build: Build) -> list[BuildRecord]:
    """The last builds of the same target, newest first; at most two."""
    path = _path(build)
    found = [] if path is None else [_read(path), _read(_before(path))]
    return [record for record in found if record is not None]


def _read(path: Path) -> BuildRecord | None:
    import pickle
    import zlib

    try:
        record = pickle.loads(zlib.decompress(path.read_bytes()[MARK_SIZE:]))  # noqa: S301  # written by `keep` alone
    except (OSError, zlib.error, pickle.UnpicklingError, EOFError, AttributeError, ImportError, TypeError, ValueError):
        return None  # there is none, or another version wrote it
    return record if isinstance(record, BuildRecord) else None


def _path(build: Build) -> Path | None:
    """The file for the builds of one target for its platforms; None for an empty result."""
    head = build.graph.heads[0] if build.graph.heads else None
    if head is None:
        return None
    vertex = head.vertex
    stage = dict(vertex.metadata.description).get(_STAGE, "")
    file = vertex.locations[0].file if vertex.locations else ""
    place = "" if file.startswith("/") else str(Path.cwd())
    platforms = ",".join(str(variant.platform) for variant in build.request.variants)
    name = digest_of("builds", _VERSION, stage, file, place, platforms).partition(":")[2]
    return build.store.root / DIRECTORY / name


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}-before")


MARK_SIZE: Final = 64


def mark_of_build(build: Build) -> bytes:
    """What tells one build from another: the graph, and what its sources held."""
    keys = tuple(step.keys.get(output, "") for step in build.job.steps if step.is_source for output in step.keys)
    return digest_of("build", build.graph.digest, keys).partition(":")[2].encode()


def mark_of_file(path: Path) -> bytes:
    """The mark at the start of a file, or nothing."""
    try:
        with path.open("rb") as file:
            return file.read(MARK_SIZE)
    except OSError:
        return b""


__all__ = [
    "DIRECTORY",
    "MARK_SIZE",
    "BuildRecord",
    "UsedFiles",
    "keep",
    "kept",
    "mark_of_build",
    "mark_of_file",
    "selections_of",
    "used_files",
]
