"""Each field of each op, mount and action is changed in turn: exactly the right steps miss the cache.

The fields that change nothing are those that docs/cache-keys.md lists. A new field is flipped by itself, and fails the
test until it is either in the key or in the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path

import pytest

from pybuild._api import session_for
from pybuild.llb import files, meta, mounts, ops
from pybuild.llb.files import CopyAction, MkdirAction, MkfileAction, Owner, RmAction, SymlinkAction, UserName
from pybuild.llb.meta import (
    Caching,
    Constraints,
    ExecMeta,
    HostIP,
    LinuxResources,
    Metadata,
    ProgressGroup,
    ProxyEnv,
    Ulimit,
)
from pybuild.llb.mounts import BindMount, CacheMount, SecretMount, Sharing, SshMount, TmpfsMount
from pybuild.llb.node import Node
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, Op, PassthroughOp, SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.platform import Platform
from pybuild.protocols import CacheRecord, Ref
from pybuild.solver.contents import SnapshotContents
from pybuild.solver.lookup import content_link, definition_links, result_key
from pybuild.solver.plan import Planner
from pybuild.solver.sources import SourceSet
from pybuild.solver.state import Job
from pybuild.store.store import Store

DOCS = Path(__file__).resolve().parents[3] / "docs/cache-keys.md"
PLATFORM = Platform("linux", "amd64")
OWNER = Owner(user=UserName(name="app", input=0), group=7)

EXEC = ExecOp(
    meta=ExecMeta(
        args=("make",),
        env=("A=1",),
        user="app",
        proxy_env=ProxyEnv(),
        extra_hosts=(HostIP(host="db", ip="10.0.0.1"),),
        ulimits=(Ulimit(name="nofile", soft=1, hard=2),),
    ),
    mounts=(
        BindMount(target="/", input=0, output=0),
        BindMount(target="/bind", input=1, selector="/same", readonly=True),
        CacheMount(target="/cache", input=2, selector="/same", cache_id="id", sharing=Sharing.LOCKED),
        TmpfsMount(target="/tmp"),
        SecretMount(target="/secret", secret_id="id"),
        SshMount(target="/ssh"),
    ),
    secret_env=(ops.SecretEnv(secret_id="id", name="S"),),
    cdi_devices=(ops.CDIDevice(name="gpu"),),
)
FILE = FileOp(
    actions=(
        CopyAction(source="/same", dest="/to", input=0, secondary_input=1, owner=OWNER),
        MkfileAction(path="/f", data=b"1", input=3, owner=OWNER),
        MkdirAction(path="/d", input=4, owner=OWNER),
        RmAction(path="/d", input=5),
        SymlinkAction(old_path="/a", new_path="/b", input=6, output=0, owner=OWNER),
    )
)
OPS: dict[str, Op] = {
    "exec": EXEC,
    "file": FILE,
    "merge": MergeOp(inputs=(0, 1)),
    "diff": DiffOp(lower=0, upper=1),
    "build": BuildOp(builder=0, inputs=(("a", 1),), definition=b"1", attrs=(("k", "v"),)),
    "passthrough": PassthroughOp(id="p", outputs=(0, 1)),
}
UNSET: dict[str, object] = {
    "ExecMeta.inherit": meta.Inherit(shell=True),
    "Metadata.export_cache": False,
    "Constraints.platform": Platform("linux", "arm64"),
}
"""New values of fields that have none, or none that says what another one is like."""
METADATA = Metadata(
    progress_group=ProgressGroup(id="g"), resources=LinuxResources(), caching=Caching(ttl_seconds=1e12, key=("k",))
)
BY_CONTENT = {"BindMount.selector", "CacheMount.selector", "CopyAction.source"}
"""Fields that say which part of an input is used: what is there counts, see below."""
TREES = ("same", "copy", "other")
"""Directories of the local sources: the first two hold the same."""


def mutants(node: Node) -> Iterator[tuple[str, Node]]:
    """Each field of a value, and of the values in it, by `Class.field`, with the value that has it changed."""
    for name in node._names:
        value = getattr(node, name)
        key = f"{type(node).__name__}.{name}"
        for inner, changed in _changed(key, value):
            yield inner, node.replace(**{name: changed})


def _changed(key: str, value: object) -> Iterator[tuple[str, object]]:
    if key in UNSET:
        yield key, UNSET[key]
    elif isinstance(value, Node):
        yield from mutants(value)
    elif isinstance(value, tuple) and value and isinstance(value[0], Node):
        for number, item in enumerate(value):
            for inner, changed in mutants(item):
                yield inner, (*value[:number], changed, *value[number + 1 :])
    else:
        yield key, _other(key, value)


def _other(key: str, value: object) -> object:
    match value:
        case bool():
            return not value
        case IntEnum():
            return next(member for member in type(value) if member != value)
        case int() if key.endswith("input") and value > 0:
            return value - 1
        case int() | float():
            return value + 1
        case bytes():
            return value + b"x"
        case str():
            return f"{value}x"
        case tuple():
            pairs = key.rpartition(".")[2] in ("attrs", "description")
            added: object = ("x", "y") if pairs else ("x", 0) if key == "BuildOp.inputs" else "x"
            return (*value, 0 if value and isinstance(value[0], int) else added)
        case _:
            raise AssertionError(f"say in UNSET what else {key} may be")


class Project:
    """A store in which everything around one step is cached, and directories to take from."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for tree in TREES:
            for name in ("same", "samex", "different"):
                path = directory / tree / name
                path.mkdir(parents=True)
                (path / "file").write_text(name if name == "different" else "other" if tree == "other" else "same")
        self.store = Store.open(directory / "store")
        self._sources = [self.source(tree) for tree in TREES]

    def source(self, tree: str) -> Vertex:
        place = Metadata(local_dir=str(self.directory / tree))
        return Vertex(SourceOp(identifier=f"local://{tree}"), metadata=place)

    def graph(
        self, op: Op, constraints: Constraints, metadata: Metadata, sources: Sequence[Vertex] | None = None
    ) -> Graph:
        """A step on a base, what stands on it, and what stands beside it."""
        base, *others = sources or self._sources
        made = Vertex(FileOp(actions=(MkdirAction(path="/x", input=0, output=0),)), [Edge(base)])
        step = Vertex(op, [Edge(made), *map(Edge, others)], constraints=constraints, metadata=metadata)
        after = Vertex(FileOp(actions=(RmAction(path="/y", input=0, output=0),)), [Edge(step)])
        beside = Vertex(FileOp(actions=(RmAction(path="/z", input=0, output=0),)), [Edge(made)])
        return Graph([Edge(vertex) for vertex in (made, step, after, beside)])

    def missed(self, graph: Graph, *, keep: bool = False) -> set[str]:
        """Which of the four steps are not in the cache."""
        sources = SourceSet(self.store, session_for(), PLATFORM)
        planner = Planner(self.store.cache, sources, SnapshotContents(self.store))
        job = Job(graph)
        planner.plan(job)
        names = ("below", "step", "after", "beside")
        missed = {
            name for name, head in zip(names, job.heads, strict=True) if head is not None and head[0].state != "cached"
        }
        for step in job.steps if keep else ():
            if step.state == "cached" or step.is_source:
                continue
            links = definition_links(step, 0)
            contents = [(number, planner.content_of(step, number)) for number in range(len(step.inputs))]
            links += [
                content_link(step, number, content, 0)
                for number, content in contents
                if content is not None and step.map.inputs[number].by_content
            ]
            key = result_key(step, 0)
            record = CacheRecord(
                result_key=key,
                ref=Ref(snapshot=""),
                description="",
                created=1.0,
                last_used=1.0,
                usage_count=1,
                duration=0.0,
            )
            self.store.cache.save(record, links)
            step.keys[0] = key
            step.state = "cached"
        return missed


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("keys"))


def listed() -> dict[str, set[str]]:
    """What docs/cache-keys.md says is in no key, by op."""
    section = DOCS.read_text().partition("## Fields that are in no key")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z ]+) \| (`.*`) \|", section, re.MULTILINE)
    return {kind: set(re.findall(r"`([^`]+)`", names)) for kind, names in rows}


def variants(kind: str) -> Iterator[tuple[str, Op, Constraints, Metadata]]:
    constraints = Constraints(platform=PLATFORM)
    for name, op in mutants(OPS[kind]):
        yield name, op, constraints, METADATA  # type: ignore[misc]
    for name, changed in mutants(constraints):
        yield name, OPS[kind], changed, METADATA  # type: ignore[misc]
    for name, changed in mutants(METADATA):
        yield name, OPS[kind], constraints, changed  # type: ignore[misc]


@pytest.mark.parametrize("kind", OPS)
def test_exactly_the_right_steps_miss(project: Project, kind: str) -> None:
    start = project.graph(OPS[kind], Constraints(platform=PLATFORM), METADATA)
    project.missed(start, keep=True)
    assert project.missed(start) == set()
    ignored: set[str] = set()
    counted: set[str] = set()
    for name, op, constraints, metadata in variants(kind):
        missed = project.missed(project.graph(op, constraints, metadata))
        assert missed in (set(), {"step", "after"}), f"{name}: neither what is below it nor beside it depends on it"
        (counted if missed else ignored).add(name)
    both = (ignored & counted) - BY_CONTENT
    assert not both, "a field counts in every place, or in none"
    assert ignored - BY_CONTENT == listed()["every step"] | listed().get(kind, set())


def test_every_field_was_changed() -> None:
    names = {name for kind in OPS for name, *_ in variants(kind)}
    for module in (ops, files, mounts, meta):
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Node) and cls.__module__ == module.__name__ and cls._names:
                if cls in (SourceOp, mounts.MountBase, meta.Inherit):
                    continue  # sources have keys of their own; the others are parts that the graph of a build has not
                for name in cls._names:
                    nested = any(other.startswith(f"{type(value).__name__}.") for value, other in _nested(cls, name))
                    assert nested or f"{cls.__name__}.{name}" in names


def _nested(cls: type[Node], name: str) -> Iterator[tuple[Node, str]]:
    """Values in a field that are changed field by field."""
    names = [other for kind in OPS for other, *_ in variants(kind)]
    for node in _nodes([*OPS.values(), METADATA]):
        if type(node) is cls:
            value = getattr(node, name)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Node):
                    yield from ((item, other) for other in names)


def _nodes(start: Sequence[Node]) -> Iterator[Node]:
    stack = list(start)
    while stack:
        node = stack.pop()
        yield node
        for name in node._names:
            value = getattr(node, name)
            stack += [item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, Node)]


def mounting(number: int, path: str) -> Op:
    """The exec with another selector on one of its mounts."""
    changed = EXEC.mounts[number].replace(selector=path)
    return EXEC.replace(mounts=(*EXEC.mounts[:number], changed, *EXEC.mounts[number + 1 :]))


def copying(path: str) -> Op:
    """A copy of a directory's contents."""
    copy = CopyAction(source=path, dest="/to", input=0, secondary_input=1, output=0, dir_copy_contents=True)
    return FileOp(actions=(copy,))


PATHS = ("/same", "/samex", "/different")
SELECTED: dict[str, list[Op]] = {
    "bind": [mounting(1, path) for path in PATHS],
    "cache": [mounting(2, path) for path in PATHS],
    "copy": [copying(path) for path in PATHS],
}


@pytest.mark.parametrize("name", SELECTED)
def test_a_selector_counts_by_what_it_selects(project: Project, name: str) -> None:
    constraints = Constraints(platform=PLATFORM)
    start, equal, different = (project.graph(op, constraints, METADATA) for op in SELECTED[name])
    project.missed(start, keep=True)
    assert project.missed(equal) == set()
    assert project.missed(different) == {"step", "after"}


def test_a_local_source_counts_by_what_it_holds(project: Project) -> None:
    """Its name, its attributes and where it lies do not."""
    constraints = Constraints(platform=PLATFORM)
    project.missed(project.graph(EXEC, constraints, METADATA), keep=True)
    base, first, second = (project.source(tree) for tree in TREES)
    moved = Vertex(SourceOp(identifier="local://elsewhere"), metadata=project.source("same").metadata)
    assert project.missed(project.graph(EXEC, constraints, METADATA, [moved, first, second])) == set()
    unused = SourceOp(identifier="local://same", attrs=(("local.excludepatterns", '["nothing"]'),))
    assert project.missed(project.graph(EXEC, constraints, METADATA, [base.replace(op=unused), first, second])) == set()
    less = SourceOp(identifier="local://same", attrs=(("local.excludepatterns", '["different"]'),))
    everything = {"below", "step", "after", "beside"}
    assert (
        project.missed(project.graph(EXEC, constraints, METADATA, [base.replace(op=less), first, second])) == everything
    )
