"""Properties of every graph: order, identity, pickles, rewriting, the wire form, and each field of each op."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from enum import Enum
from itertools import count

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pybuild.llb import construct, files, meta, mounts, ops
from pybuild.llb.marshal import MarshalOptions, marshal
from pybuild.llb.node import Node
from pybuild.llb.unmarshal import unmarshal
from pybuild.llb.vertex import Edge, Graph, OutputIndex, Vertex
from pybuild.llb.walk import rewrite
from pybuild.location import Frame, Location
from pybuild.passes.pipeline import run_passes
from pybuild.passes.verify import Level, verify
from pybuild.platform import Platform
from pybuild.protocols import PassContext

AMD64 = Platform("linux", "amd64")
Plan = list[tuple[str, int, int, str]]
PLANS = st.lists(
    st.tuples(
        st.sampled_from(["image", "local", "run", "both", "copy", "write", "merge", "diff"]),
        st.integers(0, 50),
        st.integers(0, 50),
        st.sampled_from(["a", "b", "c"]),
    ),
    min_size=1,
    max_size=25,
)
"""What to make, one step after the other: kind, two earlier steps, and a word."""
few = settings(max_examples=60, deadline=None)


def made(plan: Plan, *, file: str = "Buildfile.py", name: str = "") -> Graph:
    """The graph of a plan; `file` and `name` are no part of its identity."""
    edges: list[Edge] = [Edge(construct.image("base"))]
    for line, (kind, first, second, word) in enumerate(plan, 1):
        one, two = edges[first % len(edges)], edges[second % len(edges)]
        about = {
            "locations": [Location([Frame(file, "app", line, line)])],
            "metadata": meta.Metadata(description=(("llb.customname", name + str(line)),)) if name else meta.Metadata(),
        }
        edges.append(step(kind, one, two, word, about))
    return Graph([edges[-1], edges[len(edges) // 2]])


def step(kind: str, one: Edge, two: Edge, word: str, about: dict[str, object]) -> Edge:
    root = (mounts.BindMount(target="/", output=0), one)
    process = meta.ExecMeta(args=(word,), cwd="/", env=("PATH=/bin",))
    match kind:
        case "image":
            return Edge(construct.image(f"{word}:1", **about))  # type: ignore[arg-type]
        case "local":
            return Edge(construct.local(word, **about))  # type: ignore[arg-type]
        case "run":
            return Edge(construct.exec_(process, [root], **about))  # type: ignore[arg-type]
        case "both":
            bound = (mounts.BindMount(target=f"/{word}", output=0), two)
            return Edge(construct.exec_(process, [root, bound], **about), OutputIndex(1))  # type: ignore[arg-type]
        case "copy":
            action = files.CopyAction(source=f"/{word}", dest="/")
            return Edge(construct.file(one, [(action, two)], **about))  # type: ignore[arg-type]
        case "write":
            return Edge(construct.file(one, [(files.MkfileAction(path=f"/{word}", data=b"x"), None)], **about))  # type: ignore[arg-type]
        case "merge":
            return construct.merge([one, two], **about) or one  # type: ignore[arg-type]
        case _:
            return construct.diff(one, two, **about) or one  # type: ignore[arg-type]


@few
@given(PLANS)
def test_inputs_come_before_their_users_and_every_object_once(plan: Plan) -> None:
    position: dict[int, int] = {}
    for number, vertex in enumerate(made(plan).vertices):
        assert all(id(edge.vertex) in position for edge in vertex.inputs)
        assert id(vertex) not in position
        position[id(vertex)] = number


@few
@given(PLANS)
def test_identity_is_what_is_done_not_where_it_is_written(plan: Plan) -> None:
    one, two = made(plan), made(plan, file="Other.py", name="step ")
    assert one == two
    assert hash(one) == hash(two)
    assert [vertex.digest for vertex in one.vertices] == [vertex.digest for vertex in two.vertices]


@few
@given(PLANS, st.integers(0, 24))
def test_one_changed_step_changes_all_that_use_it_and_nothing_else(plan: Plan, where: int) -> None:
    where %= len(plan)
    kind, first, second, _ = plan[where]
    changed = [*plan[:where], (kind, first, second, "another"), *plan[where + 1 :]]
    before, after = made(plan), made(changed)
    if len(before) != len(after):
        return  # a diff of equal trees, or the like, is no step
    touched: set[int] = set()
    for old, new in zip(before.vertices, after.vertices, strict=True):
        below = any(id(edge.vertex) in touched for edge in old.inputs)
        if old.op != new.op or below:
            touched.add(id(old))
            assert old.digest != new.digest
        else:
            assert old.digest == new.digest


@few
@given(PLANS)
@example([("image", 0, 0, "a"), ("image", 0, 0, "a"), ("both", 1, 2, "a")])  # equal inputs, two places
def test_pickles_are_equal_and_keep_places_and_names(plan: Plan) -> None:
    graph = made(plan, name="step ")
    again = pickle.loads(pickle.dumps(graph))
    assert again == graph
    assert [v.locations for v in again.vertices] == [v.locations for v in graph.vertices]
    assert [v.metadata for v in again.vertices] == [v.metadata for v in graph.vertices]
    assert copy.deepcopy(graph) == graph


@few
@given(PLANS)
def test_rewriting_without_changes_is_the_graph_itself(plan: Plan) -> None:
    graph = made(plan)
    assert rewrite(graph, lambda vertex: vertex) is graph
    renamed = rewrite(graph, lambda vertex: vertex.replace(metadata=meta.Metadata().named("x")))
    assert renamed == graph
    assert {vertex.name for vertex in renamed.vertices} == {"x"}


@few
@given(PLANS)
def test_passes_are_legal_stable_and_keep_places(plan: Plan) -> None:
    graph = made(plan)
    context = PassContext(platform=AMD64)
    once = run_passes(graph, context, verify_each=True)
    verify(once, Level.DEFINITION)
    assert run_passes(once, context) == once
    assert len({vertex.digest for vertex in once.vertices}) == len(once)
    lines = {location.line for vertex in once.vertices for location in vertex.locations}
    assert lines <= {location.line for vertex in graph.vertices for location in vertex.locations}


@few
@given(PLANS)
def test_the_wire_form_is_read_as_it_was_written(plan: Plan) -> None:
    head = run_passes(Graph([made(plan).heads[0]]), PassContext(platform=AMD64))
    definition = marshal(head, MarshalOptions(platform=AMD64))
    read = unmarshal(definition)
    assert sorted(repr(vertex.op) for vertex in read.vertices) == sorted(repr(vertex.op) for vertex in head.vertices)
    assert marshal(read).digests == definition.digests


@few
@given(st.permutations(["/b", "/a/b", "/a", "/z"]))
def test_the_order_of_mounts_has_no_meaning(targets: list[str]) -> None:
    root = (mounts.BindMount(target="/", output=0), Edge(construct.image("base")))
    process = meta.ExecMeta(args=("x",))

    def exec_with(order: list[str]) -> Vertex:
        bound = [(mounts.BindMount(target=target, output=0), Edge(construct.image(target[1:2]))) for target in order]
        return construct.exec_(process, [*bound, root])

    assert exec_with(targets) == exec_with(sorted(targets))


# ----------------------------------------------------------------------------------------- every field of every op


def samples() -> Iterator[Node]:
    """One of each kind of value that a vertex is made of."""
    owner = files.Owner(user=1, group=2)
    process = meta.ExecMeta(args=("x",))
    yield from (
        ops.SourceOp(identifier="docker-image://a"),
        ops.ExecOp(meta=process, mounts=(mounts.BindMount(target="/"),)),
        ops.FileOp(actions=(files.MkdirAction(path="/a"),)),
        ops.MergeOp(inputs=(0, 1)),
        ops.DiffOp(lower=0, upper=1),
        ops.BuildOp(builder=-1),
        ops.PassthroughOp(),
        process,
        mounts.BindMount(target="/"),
        mounts.CacheMount(target="/", cache_id="c"),
        mounts.TmpfsMount(target="/"),
        mounts.SecretMount(target="/", secret_id="s"),
        mounts.SshMount(target="/", agent_id="s"),
        files.CopyAction(source="/a", dest="/b", owner=owner),
        files.MkfileAction(path="/a", data=b"", owner=owner),
        files.MkdirAction(path="/a", owner=owner),
        files.RmAction(path="/a"),
        files.SymlinkAction(old_path="a", new_path="b", owner=owner),
        meta.Constraints(),
    )


FIELDS = [(sample, field.name) for sample in samples() for field in attrs.fields(type(sample)) if field.init]


@pytest.mark.parametrize(("sample", "name"), FIELDS, ids=[f"{type(s).__name__}.{n}" for s, n in FIELDS])
def test_every_field_is_part_of_the_identity(sample: Node, name: str) -> None:
    changed = sample.replace(**{name: another(getattr(sample, name), name)})
    assert changed != sample
    assert changed.form != sample.form


def another(value: object, name: str) -> object:
    """Some other value of a field."""
    numbers = count(7)
    match value:
        case bool():
            return not value
        case Enum():
            return next(member for member in type(value) if member is not value)
        case int():
            return value + next(numbers)
        case str():
            return value + "/other"
        case bytes():
            return value + b"other"
        case files.Owner():
            return files.Owner(user=9, group=2)
        case Node():
            return value.replace(args=("other",))
        case tuple():
            return (*value, *value, *_item(name)) if value and name != "attrs" else _item(name)
        case _:
            return _of_none(name)


def _item(name: str) -> tuple[object, ...]:
    special: dict[str, object] = {
        "attrs": ("k", "v"),
        "inputs": ("k", 1),
        "outputs": 1,
        "extra_hosts": ("host", "1.2.3.4"),
        "mounts": mounts.BindMount(target="/other"),
        "actions": files.RmAction(path="/other"),
        "secret_env": meta.SecretEnv(secret_id="s", name="S"),
        "cdi_devices": meta.CDIDevice(name="d"),
        "ulimits": meta.Ulimit(name="nofile", soft=1, hard=2),
        "valid_exit_codes": 3,
    }
    return (special.get(name, "other"),)


def _of_none(name: str) -> object:
    values: dict[str, object] = {
        "proxy": meta.ProxyEnv(http_proxy="p"),
        "proxy_env": meta.ProxyEnv(http_proxy="p"),
        "inherit": meta.Inherit(shell=True),
        "platform": AMD64,
        "owner": files.Owner(user=9, group=9),
        "definition": b"x",
        "remove_mount_stubs_recursive": True,
    }
    return values[name]
