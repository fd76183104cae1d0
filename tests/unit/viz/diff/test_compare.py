"""Comparisons of graphs: which step is which, what changed in it, and what runs again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pybuild import State, bind, cache, diff, git, http, image, local, merge, oci_layout, scratch, secret, ssh, tmpfs
from pybuild.llb.meta import HostIP, ProxyEnv
from pybuild.llb.node import Node
from pybuild.llb.ops import ExecOp
from pybuild.llb.vertex import Edge, Graph
from pybuild.viz.diff import GraphDiff, Side
from pybuild.viz.diff import diff as compare

base = image("alpine:3.20")


def look(left: State | Graph, right: State | Graph) -> GraphDiff:
    graphs = [one if isinstance(one, Graph) else one.graph() for one in (left, right)]
    return compare(Side(graph=graphs[0]), Side(graph=graphs[1]))


def statuses(found: GraphDiff) -> dict[str, str]:
    return {step.name: step.status for step in found.steps}


def test_equal_graphs() -> None:
    found = look(base.run("make"), base.run("make"))
    assert found.is_empty
    assert found.summary == "no difference in 2 steps"
    assert look(scratch(), scratch()).summary == "no difference"


def test_changed_command_keeps_its_place_however_different_it_is() -> None:
    found = look(base.run("a").run("apt-get update").run("c"), base.run("a").run("make -j4 all").run("c"))
    assert statuses(found) == {
        "alpine:3.20": "unchanged",
        "a": "unchanged",
        "make -j4 all": "changed",
        "c": "invalidated",
    }


def test_inserted_step_changes_nothing_but_what_follows() -> None:
    found = look(base.run("a").run("b"), base.run("x").run("a").run("b"))
    assert statuses(found) == {"alpine:3.20": "unchanged", "x": "added", "a": "invalidated", "b": "invalidated"}
    assert [step.because for step in found.of("invalidated")] == [(2,), (2,)]
    back = look(base.run("x").run("a").run("b"), base.run("a").run("b"))
    assert statuses(back) == {"alpine:3.20": "unchanged", "x": "removed", "a": "invalidated", "b": "invalidated"}


def test_step_replaced_by_one_of_another_kind() -> None:
    found = look(base.run("a").run("c"), base.write("/a", "").run("c"))
    assert statuses(found) == {"alpine:3.20": "unchanged", "a": "removed", "mkfile /a": "added", "c": "invalidated"}


def test_swapped_steps_are_changed_not_new() -> None:
    found = look(base.run("a").run("b"), base.run("b").run("a"))
    assert statuses(found) == {"alpine:3.20": "unchanged", "a": "changed", "b": "changed"}
    assert next((c.field, c.before, c.after) for s in found.of("changed") for c in s.fields) == (
        "base",
        "a",
        "alpine:3.20",
    )


def test_other_input_of_a_copy() -> None:
    one, two = base.run("one"), base.run("two")

    def app(source: State) -> State:
        return merge(scratch().copy(source.path("/out"), "/"), one, two)

    found = look(app(one), app(two))
    changed = next(found.of("changed"))
    assert [(c.field, c.before, c.after) for c in changed.fields] == [("copy from", "one", "two")]


def test_results_that_are_copied_may_come_out_the_same() -> None:
    found = look(scratch().copy(base.run("a").path("/x"), "/x"), scratch().copy(base.run("b").path("/x"), "/x"))
    step = next(found.of("invalidated"))
    assert (step.by_content, step.because) == (True, (2,))
    below = look(base.run("a").write("/x", ""), base.run("b").write("/x", ""))
    assert next(below.of("invalidated")).by_content is False


def test_what_the_cache_does_not_depend_on_runs_nothing_again() -> None:
    found = look(base.run("a", name="one", memory="1g").run("b"), base.run("a", name="two", memory="2g").run("b"))
    assert statuses(found) == {"alpine:3.20": "unchanged", "two": "changed", "b": "unchanged"}
    assert all(not change.reruns for step in found.steps for change in step.fields)
    caches = [base.run("a").mount(cache("/c", id=name)).run("b") for name in ("one", "two")]
    assert statuses(look(*caches)) == {"alpine:3.20": "unchanged", "a": "changed", "b": "unchanged"}


def test_equal_steps_on_different_bases_stay_apart() -> None:
    def app(*bases: str) -> State:
        return merge(*(image(name).run("apk add make").run(f"make {name}") for name in bases))

    found = look(app("a:1", "b:1", "c:1"), app("a:1", "b:2", "c:1"))
    assert [(s.name, s.status) for s in found.steps if s.status != "unchanged"] == [
        ("b:2", "changed"),
        ("apk add make", "invalidated"),
        ("make b:2", "changed"),
        ("merge", "invalidated"),
    ]


def test_inputs_of_a_merge() -> None:
    one, two, three = (scratch().write(f"/{name}", "") for name in "abc")
    found = look(merge(one, two), merge(one, two, three))
    assert statuses(found)["merge"] == "changed"
    assert statuses(found)["mkfile /c"] == "added"


def test_lines_do_not_matter() -> None:
    first = base.run("a")

    second = base.run("a")
    assert look(first, second).is_empty


CHANGES: dict[str, tuple[Callable[[], State], Callable[[], State], list[str]]] = {
    "env": (lambda: base.env(A="1").run("x"), lambda: base.env(A="2", B="3").run("x"), ["env A", "env B"]),
    "workdir": (lambda: base.workdir("/a").run("x"), lambda: base.workdir("/b").run("x"), ["workdir"]),
    "user": (lambda: base.run("x"), lambda: base.user("app").run("x"), ["user"]),
    "shell": (lambda: base.run("x"), lambda: base.shell("/bin/bash", "-c").run("x"), ["shell"]),
    "argv": (lambda: base.run("x"), lambda: base.run(["x"]), ["shell"]),
    "network": (lambda: base.run("x"), lambda: base.run("x", network="none"), ["network"]),
    "security": (lambda: base.run("x"), lambda: base.run("x", security="insecure"), ["security"]),
    "exit codes": (lambda: base.run("x"), lambda: base.run("x", valid_exit_codes=[0, 1]), ["valid exit codes"]),
    "bind": (
        lambda: base.run("x").mount(bind(local("."), "/s")),
        lambda: base.run("x").mount(bind(local(".").path("src"), "/s")),
        ["mount /s"],
    ),
    "cache": (lambda: base.run("x"), lambda: base.run("x").mount(cache("/c")), ["mount /c"]),
    "sharing": (
        lambda: base.run("x").mount(cache("/c")),
        lambda: base.run("x").mount(cache("/c", sharing="locked")),
        ["mount /c"],
    ),
    "tmpfs": (
        lambda: base.run("x").mount(tmpfs("/t")),
        lambda: base.run("x").mount(tmpfs("/t", size=10)),
        ["mount /t"],
    ),
    "secret": (
        lambda: base.run("x").mount(secret("a", "/s")),
        lambda: base.run("x").mount(secret("b", "/s")),
        ["mount /s"],
    ),
    "secret variable": (
        lambda: base.run("x").mount(secret("a", env="S")),
        lambda: base.run("x").mount(secret("b", env="S")),
        ["env S"],
    ),
    "ssh": (
        lambda: base.run("x"),
        lambda: base.run("x").mount(ssh("me", target="/a")),
        ["env SSH_AUTH_SOCK", "mount /a"],
    ),
    "image": (lambda: base.run("x"), lambda: image("alpine:3.21").run("x"), ["image"]),
    "layout": (lambda: base.run("x"), lambda: oci_layout("d", "alpine:3.21").run("x"), ["image"]),
    "platform": (
        lambda: base.run("x"),
        lambda: image("alpine:3.20", platform="linux/arm64").run("x"),
        ["platform"] * 2,
    ),
    "pull": (lambda: base.run("x"), lambda: image("alpine:3.20", pull="always").run("x"), ["resolvemode"]),
    "exclude": (lambda: local("."), lambda: local(".", exclude=["a", "b"]), ["exclude"]),
    "include": (lambda: local("."), lambda: local(".", include=["a"]), ["include"]),
    "git ref": (
        lambda: git("https://example.com/a.git", "v1"),
        lambda: git("https://example.com/a.git", "v2"),
        ["repository"],
    ),
    "checksum": (
        lambda: http("https://example.com/a", checksum="sha256:" + "0" * 64),
        lambda: http("https://example.com/a", checksum="sha256:" + "1" * 64),
        ["checksum"],
    ),
    "text": (lambda: base.write("/a", "1"), lambda: base.write("/a", "2"), ["data"]),
    "bytes": (lambda: base.write("/a", b"\0\1"), lambda: base.write("/a", b"\0\2"), ["data"]),
    "long text": (lambda: base.write("/a", "1" * 9999), lambda: base.write("/a", "1" * 9998 + "2"), ["data"]),
    "mode": (lambda: base.write("/a", "1"), lambda: base.write("/a", "1", mode=0o755), ["mode"]),
    "owner": (lambda: base.mkdir("/a"), lambda: base.mkdir("/a", owner="app:1"), ["owner"]),
    "copy": (
        lambda: base.copy("a", "/a"),
        lambda: base.copy("b", "/c", exclude=["x"]),
        ["source", "dest", "exclude patterns"],
    ),
    "symlink": (lambda: base.symlink("/a", "/b"), lambda: base.symlink("/c", "/b"), ["old path"]),
    "remove": (lambda: base.remove("/a"), lambda: base.remove("/a", missing_ok=True), ["allow not found"]),
    "no cache": (lambda: base.run("x"), lambda: base.run("x", use_cache=False), ["cache"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_that_users_can_change(name: str) -> None:
    before, after, fields = CHANGES[name]
    found = look(before(), after())
    changed = [step for step in found.steps if step.fields]
    assert [change.field for step in changed for change in step.fields] == fields
    assert all(step.status == "changed" for step in changed)
    assert found.counts["added"] == found.counts["removed"] == 0 or name == "bind"


def variations(value: Node) -> dict[str, object]:
    """Another value for each field that the DSL cannot set."""
    return {
        "hostname": "h",
        "cgroup_parent": "c",
        "extra_hosts": (HostIP(host="a", ip="1.2.3.4"),),
        "proxy_env": ProxyEnv(http_proxy="p"),
    }


def test_fields_of_other_frontends_are_seen() -> None:
    graph = base.run("x").graph()
    head = graph.heads[0]
    assert head is not None
    op = head.vertex.op
    assert isinstance(op, ExecOp)
    for name, value in variations(op.meta).items():
        other = head.vertex.replace(op=op.replace(meta=op.meta.replace(**{name: value})))
        assert look(graph, Graph([Edge(other)])).counts["changed"] == 1, name


def test_merge_and_diff_as_inputs() -> None:
    lower = base.run("a")
    found = look(diff(base, lower), diff(base, lower.run("b")))
    assert statuses(found) == {"alpine:3.20": "unchanged", "a": "unchanged", "b": "added", "diff": "invalidated"}


@pytest.mark.parametrize("count", [400])
def test_long_chains_with_everything_invalidated(count: int) -> None:
    def chain(start: str, changed: int) -> State:
        state = image(start)
        for number in range(count):
            state = state.run(f"step {number}" + (" changed" if number == changed else ""))
        return state

    found = look(chain("a:1", -1), chain("a:2", count // 2))
    assert found.counts == {"added": 0, "removed": 0, "changed": 2, "invalidated": count - 1, "unchanged": 0}
