"""Fakes around the solver: a cache store in memory, sources by table, a runner that counts and makes up trees."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pybuild.digest import digest_of
from pybuild.errors import SolveError
from pybuild.llb import construct
from pybuild.llb.files import CopyAction
from pybuild.llb.meta import ExecMeta, Metadata
from pybuild.llb.mounts import BindMount, Mount
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.protocols import CacheLink, CacheRecord, ProgressEvent, Ref
from pybuild.solver.cachemap import Selection
from pybuild.solver.plan import Planner
from pybuild.solver.report import Reporter
from pybuild.solver.scheduler import Brought, Made, Scheduler
from pybuild.solver.state import Job, Step


class MemoryCache:
    """A CacheStore, a Holder and StepLocks in memory."""

    def __init__(self) -> None:
        self.records: dict[str, CacheRecord] = {}
        self.links: dict[CacheLink, list[str]] = defaultdict(list)

    def query(self, link: CacheLink) -> Sequence[str]:
        return list(self.links.get(link, ()))

    def load(self, result_key: str) -> CacheRecord | None:
        return self.records.get(result_key)

    hold_result = load

    def save(self, record: CacheRecord, links: Sequence[CacheLink]) -> None:
        self.records[record.result_key] = record
        self.add_links(record.result_key, links)

    def add_links(self, result_key: str, links: Sequence[CacheLink]) -> None:
        for link in links:
            if result_key not in self.links[link]:
                self.links[link].append(result_key)


class FakeLocks:
    """Locks in memory; several schedulers may share one."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    def try_exclusive(self, name: str) -> FakeHandle | None:
        if name in self.held:
            return None
        self.held.add(name)
        return FakeHandle(self, name)


@dataclass
class FakeHandle:
    locks: FakeLocks
    name: str

    def release(self) -> None:
        self.locks.held.discard(self.name)


@dataclass
class FakeWorld:
    """Sources, contents and a runner over trees that are plain mappings from path to text.

    A source's identifier names its tree. An exec `put PATH TEXT` adds a file to its root; anything else adds nothing.
    """

    trees: dict[str, Mapping[str, str]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    together: int = 0
    """Steps wait for each other until this many run at once; fewer is an error."""
    fail: str = ""
    _barrier: asyncio.Barrier | None = None
    _snapshots: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def key(self, vertex: Vertex) -> str:
        assert isinstance(vertex.op, SourceOp)
        if vertex.op.scheme == "local":
            return digest_of("local", tuple(sorted(self.trees[vertex.op.identifier].items())))
        return digest_of("image", vertex.op.identifier)

    def content(self, vertex: Vertex, selection: Selection) -> str | None:
        assert isinstance(vertex.op, SourceOp)
        if vertex.op.scheme != "local" and vertex.op.identifier not in self.fetched:
            return None
        return self._content(self.trees[vertex.op.identifier], selection)

    def of_snapshot(self, snapshot: str, selection: Selection) -> str:
        return self._content(self._snapshots[snapshot], selection)

    @staticmethod
    def _content(tree: Mapping[str, str], selection: Selection) -> str:
        prefix = selection.path.rstrip("/")
        found = {path[len(prefix) :]: text for path, text in tree.items() if (path + "/").startswith(prefix + "/")}
        is_directory = "" not in found
        return digest_of(tuple(sorted(found.items())), selection.context(is_directory=is_directory))

    async def fetch(self, step: Step) -> Brought:
        op = step.vertex.op
        assert isinstance(op, SourceOp)
        self.fetched.append(op.identifier)
        return Brought(ref=self._new(self.trees[op.identifier]))

    async def execute(self, step: Step, inputs: Sequence[Ref]) -> Made:
        self.executed.append(step.vertex.name)
        if self.together and len(self.executed) <= self.together:
            self._barrier = self._barrier or asyncio.Barrier(self.together)
            async with asyncio.timeout(30):
                await self._barrier.wait()
        if step.vertex.name == self.fail:
            raise SolveError("made to fail")
        tree = dict(self._snapshots[inputs[0].snapshot]) if inputs else {}
        words = step.vertex.name.split()
        if words[0] == "put":
            tree[words[1]] = words[2]
        elif words[0] == "copy":
            source = self._snapshots[inputs[-1].snapshot]
            prefix = words[1].rstrip("/")
            tree |= {words[2] + path[len(prefix) :]: text for path, text in source.items() if path.startswith(prefix)}
        return Made(refs=dict.fromkeys(step.needed, self._new(tree)))

    def _new(self, tree: Mapping[str, str]) -> Ref:
        key = f"snapshot-{len(self._snapshots)}"
        self._snapshots[key] = dict(tree)
        return Ref(snapshot=key)


class Recorder:
    """A ProgressSink that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[ProgressEvent] = []

    def emit(self, event: ProgressEvent) -> None:
        self.events.append(event)


async def solve(
    graph: Graph,
    world: FakeWorld,
    cache: MemoryCache,
    *,
    no_cache: tuple[str, ...] = (),
    locks: FakeLocks | None = None,
    slots: int = 4,
) -> dict[str, str]:
    """Solve `graph`; returns the state of every step by name."""
    job = Job(graph, no_cache)
    planner = Planner(cache, world, world)
    for key, links in planner.plan(job):
        cache.add_links(key, links)
    reporter = Reporter(job, Recorder())
    scheduler = Scheduler(
        job,
        planner=planner,
        runner=world,
        cache=cache,
        holder=cache,
        locks=locks or FakeLocks(),
        reporter=reporter,
        slots=slots,
    )
    await scheduler.run()
    return {result.name: result.state for result in reporter.results()}


def source(identifier: str) -> Edge:
    return Edge(construct.source(identifier))


def run(base: Edge | None, command: str, *mounts: tuple[Mount, Edge | None], metadata: Metadata | None = None) -> Edge:
    vertex = construct.exec_(
        ExecMeta(args=tuple(command.split())),
        [(BindMount(target="/", output=0), base), *mounts],
        metadata=metadata or Metadata(),
    )
    return Edge(vertex)


def bind(edge: Edge, target: str, selector: str = "") -> tuple[Mount, Edge]:
    return BindMount(target=target, selector=selector, readonly=True), edge


def copy(base: Edge | None, origin: Edge, path: str, dest: str) -> Edge:
    return Edge(construct.file(base, [(CopyAction(source=path, dest=dest, dir_copy_contents=True), origin)]))
