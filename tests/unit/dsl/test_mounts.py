"""Mount values, how they attach to a run, and what they leave out of representations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pybuild import State, bind, cache, image, local, mount, scratch, secret, ssh, tmpfs
from pybuild.errors import ArgumentError, DefinitionError, MountConflictError
from pybuild.llb.files import MkdirAction, Owner
from pybuild.llb.meta import SecretEnv
from pybuild.llb.mounts import BindMount, CacheMount, SecretMount, Sharing, SshMount, TmpfsMount
from pybuild.llb.ops import ExecOp, FileOp


def op(state: State) -> ExecOp:
    assert state.head is not None
    assert isinstance(state.head.vertex.op, ExecOp)
    return state.head.vertex.op


def test_mount_replaces_the_head_and_keeps_the_old_state() -> None:
    base = image("alpine")
    run = base.run("x")
    mounted = run.mount(tmpfs("/tmp"))
    assert len(op(run).mounts) == 1
    assert len(op(mounted).mounts) == 2
    assert len(mounted.graph()) == 2
    assert mounted.head is not None
    assert mounted.head.vertex.inputs == (base.head,)


def test_mount_equals_run_mounts_and_order_has_no_meaning() -> None:
    first, second = cache("/b"), bind("src", "/a")
    one = scratch().run("x").mount(first).mount(second)
    other = scratch().run("x", mounts=[second, first])
    assert one == other
    assert one.digest == other.digest
    assert [mount.target for mount in op(one).mounts] == ["/", "/a", "/b"]


def test_location_has_a_range_per_mount_call() -> None:
    state = (
        scratch()
        .run("x")
        .mount(tmpfs("/a"))
        .mount(tmpfs("/b"))
    )  # fmt: skip
    assert state.head is not None
    (location,) = state.head.vertex.locations
    line = location.line
    assert location.all_ranges == ((line, line), (line + 1, line + 1), (line + 2, line + 2))


def test_bind() -> None:
    mounted = (
        scratch().run("x").mount(bind(image("alpine").path("/etc"), "/e"), bind("src", "/s"), bind(scratch(), "/n"))
    )
    _, etc, empty, source = op(mounted).mounts
    assert etc == BindMount(target="/e", input=0, selector="/etc", readonly=True)
    assert source == BindMount(target="/s", input=1, selector="/src", readonly=True)
    assert empty == BindMount(target="/n", readonly=True)


def test_cache() -> None:
    mounted = scratch().workdir("/w").run("x").mount(cache("rel/../c"), cache("/d/", id="i", sharing="locked"))
    _, first, second = op(mounted).mounts
    assert sorted([first, second], key=lambda m: m.target) == [
        CacheMount(target="/d/", cache_id="/i", sharing=Sharing.LOCKED),
        CacheMount(target="/w/c", cache_id="/c"),
    ]
    assert op(scratch().run("x").mount(cache("/root/.cache"))).mounts[1] == CacheMount(
        target="/root/.cache", cache_id="//root/.cache"
    )


def test_owned_cache_starts_from_a_directory() -> None:
    state = scratch().run("x").mount(cache("/c", uid=1001, gid=1002, mode=0o751))
    assert op(state).mounts[1] == CacheMount(target="/c", cache_id="//c", input=0, selector="/cache")
    assert state.head is not None
    made = state.head.vertex.inputs[0].vertex.op
    assert made == FileOp(
        actions=(MkdirAction(path="/cache", mode=0o751, output=0, owner=Owner(user=1001, group=1002)),)
    )
    assert state != scratch().run("x").mount(cache("/c"))


def test_secret() -> None:
    state = (
        scratch()
        .run("x")
        .mount(
            secret("a/token"),
            secret("t2", env="T2", required=False),
            secret("t3", "/t3", env="T3", uid=100, gid=102, mode=0o741),
        )
    )
    made = op(state)
    assert made.mounts[1:] == (
        SecretMount(target="/run/secrets/token", secret_id="a/token"),
        SecretMount(target="/t3", secret_id="t3", uid=100, gid=102, mode=0o741),
    )
    assert made.secret_env == (
        SecretEnv(secret_id="t2", name="T2", optional=True),
        SecretEnv(secret_id="t3", name="T3"),
    )


def test_ssh_gets_its_number_and_variable() -> None:
    made = op(scratch().run("x").mount(ssh(), ssh("other", target="/agent", required=False), ssh("third")))
    assert made.mounts[1:] == (
        SshMount(target="/run/buildkit/ssh_agent.0", agent_id=""),
        SshMount(target="/agent", agent_id="other", optional=True),
        SshMount(target="/run/buildkit/ssh_agent.2", agent_id="third"),
    )
    assert made.meta.env == ("SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0",)
    own = op(scratch().env(SSH_AUTH_SOCK="/x").run("x").mount(ssh()))
    assert own.meta.env == ("SSH_AUTH_SOCK=/x",)


def test_tmpfs() -> None:
    assert op(scratch().run("x").mount(tmpfs("/t", size="64m"))).mounts[1] == TmpfsMount(target="/t", size=64 << 20)


def test_output_of_a_writable_bind() -> None:
    state = scratch().run("x").mount(bind(scratch(), "/b", readonly=False), bind(local("."), "/a", readonly=False))
    outputs = [state.output(target) for target in ("/a", "/b/")]
    assert [edge.output for edge in (each.head for each in outputs) if edge is not None] == [1, 2]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/ro", "read-only mount .* keeps no changes"),
        ("/c", "cache mount"),
        ("/t", "tmpfs mount"),
        ("/none", "no mount at"),
    ],
)
def test_output_that_is_not_there(target: str, text: str) -> None:
    state = scratch().run("x").mount(bind(scratch(), "/ro"), cache("/c"), tmpfs("/t"))
    with pytest.raises(DefinitionError, match=text) as caught:
        state.output(target)
    assert len(caught.value.locations) == 2


def test_conflict_shows_both_calls() -> None:
    with pytest.raises(MountConflictError) as caught:
        (
            scratch()
            .run("x")
            .mount(bind("a", "/src"))
            .mount(cache("/src/"))
        )  # fmt: skip
    second, first = caught.value.locations
    assert second.line == first.line + 1
    assert str(caught.value).startswith(f'two mounts at "/src": line {first.line} and line {second.line}')


def test_conflict_within_one_call_shows_both_mounts() -> None:
    one = tmpfs("/x")
    two = cache("/x")
    with pytest.raises(MountConflictError) as caught:
        scratch().run("x", mounts=[one, two])
    assert caught.value.locations == (two.location, one.location)
    with pytest.raises(MountConflictError):
        scratch().run("x").mount(one, one)


@pytest.mark.parametrize(
    "call",
    [
        lambda: tmpfs(""),
        lambda: tmpfs("/"),
        lambda: tmpfs("/a/.."),
        lambda: tmpfs("/t", size="big"),
        lambda: tmpfs("/t", size=-1),
        lambda: cache("/c", source=scratch().path("/s"), uid=1),
        lambda: cache("/c", uid=-1),
        lambda: cache("/c", mode=0o77777),
        lambda: cache("/c", sharing="all"),  # type: ignore[arg-type]
        lambda: secret(""),
        lambda: scratch().run("x").mount("/src"),  # type: ignore[arg-type]
    ],
)
def test_wrong(call: Callable[[], object]) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert caught.value.locations[0].file == __file__


def test_only_ids_of_secrets_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    mount = secret("token", "/t", env="TOKEN")
    state = scratch().run("x").mount(mount)
    shown = repr((mount, state, op(state), state.graph(), mount.spec, mount.secret_env))
    assert "token" in shown
    assert "hunter2" not in shown


def test_digest_changes_with_the_id_of_a_secret() -> None:
    states = [scratch().run("x").mount(secret(name, "/t")) for name in ("a", "b", "a")]
    assert states[0] == states[2]
    assert states[0] != states[1]


def test_a_mount_as_text() -> None:
    assert mount("type=cache,target=/c,id=x,sharing=locked").spec == cache("/c", id="x", sharing="locked").spec
    assert mount("type=secret,id=k,env=K").secret_env == secret("k", env="K", required=False).secret_env
    assert mount("type=tmpfs,target=/t,size=64m").spec == tmpfs("/t", size="64m").spec
    tree = image("alpine")
    assert mount("target=/m,source=/etc", source=tree).spec == bind(tree.path("/etc"), "/m").spec
    assert mount("target=/m,rw", source=tree).spec == bind(tree, "/m", readonly=False, keep=False).spec
    assert mount("type=ssh,required").spec == ssh().spec


@pytest.mark.parametrize("text", ["type=nothing,target=/x", "type=bind", "target=/x,from=stage", "oops"])
def test_wrong_text(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"mount\(\)"):
        mount(text)
