"""Solves graphs on the embedded engine within the test's own process: planner, scheduler and step runner are the real
ones; only steps that need a container cannot run here."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pybuild._api import session_for
from pybuild.engine.localbuild import Build
from pybuild.llb.vertex import Graph
from pybuild.platform import Platform
from pybuild.protocols import BoundMount, ExitStatus, ProcessIO, ProcessSpec, ProgressEvent, Ref, SolveRequest
from pybuild.solver.report import Reporter
from pybuild.solver.runner import StepRunner
from pybuild.solver.scheduler import Scheduler
from pybuild.store.store import Store
from pybuild.store.tree import Entry, LayeredTree


class NoExecutor:
    """There are no containers here."""

    name = "none"

    async def run(
        self, container_id: str, rootfs: Path, mounts: Sequence[BoundMount], process: ProcessSpec, io: ProcessIO
    ) -> ExitStatus:
        raise AssertionError("a graph of files has no process to run")


class Silent:
    """Nobody looks at the progress."""

    def emit(self, event: ProgressEvent) -> None:
        """Drop it."""


class Solved(NamedTuple):
    """A result: each path with all that can be seen of it, and the number of layers."""

    tree: dict[str, tuple[object, ...]]
    layers: int


def solve(store: Store, graph: Graph, passes: tuple[str, ...], *, work: Path, squash: str = "") -> Solved:
    """Solve `graph` after `passes`."""
    request = SolveRequest(graph=graph, platform=Platform("linux", "amd64"), passes=passes, squash=squash)
    session = session_for()
    with store.leases.lease() as lease:
        build = Build(store, request, session)
        build.plan(learn=True)

        async def run() -> Sequence[Ref]:
            directory = work / uuid.uuid4().hex
            directory.mkdir()
            runner = StepRunner(
                store=store,
                sources=build.sources,
                executor=NoExecutor(),
                session=session,
                lease=lease,
                work=directory,
                sink=Silent(),
            )
            scheduler = Scheduler(
                build.job,
                planner=build.planner,
                runner=runner,
                cache=store.cache,
                holder=lease,
                locks=store.locks,
                reporter=Reporter(build.job, Silent()),
                slots=2,
            )
            return await scheduler.run()

        return look(store, asyncio.run(run())[0])


def look(store: Store, ref: Ref) -> Solved:
    """What a result is."""
    key = ref.snapshot
    tree = LayeredTree(store.snapshots.lowers(key) if key else ())
    listed = {entry.path: _shown(entry) for entry in tree.walk() if entry.path != "/"}
    return Solved(tree=listed, layers=len(store.snapshots.parents(key)) if key else 0)


def _shown(entry: Entry) -> tuple[object, ...]:
    status = entry.stat
    about = (oct(status.st_mode), status.st_uid, status.st_gid)
    if entry.is_dir:
        return about  # its time is that of the build
    if os.path.islink(entry.real):
        return (*about, os.readlink(entry.real), status.st_mtime_ns)
    if not stat.S_ISREG(status.st_mode):  # devices of a base image: nothing to read, and no end of it
        return (*about, status.st_rdev, status.st_mtime_ns)
    return (*about, hashlib.sha256(Path(entry.real).read_bytes()).hexdigest(), status.st_mtime_ns)
