"""Options of a build: what they change of its steps and its image, and who wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pybuild import BuildOptions, State, cache, image, load_buildfile, scratch, source_date_epoch, target
from pybuild.dsl import context
from pybuild.dsl.buildoptions import building_with, from_frontend
from pybuild.dsl.platforms import building_for
from pybuild.engine.imageresult import apply_patch
from pybuild.errors import ArgumentError, TargetError
from pybuild.llb.meta import HostIP, NetMode, ProxyEnv, Ulimit
from pybuild.llb.mounts import CacheMount, TmpfsMount
from pybuild.llb.ops import ExecOp, FileOp, SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.oci.imageconfig import scratch_config
from pybuild.platform import Platform
from pybuild.protocols import SourceMetadata

ALL = BuildOptions(
    network="host",
    hosts={"DB": "10.0.0.2"},
    hostname="builder",
    ulimits={"nofile": (1, 2), "core": 0},
    shm_size="1k",
    cgroup_parent="/docker/x",
    proxies={"http": "http://p"},
    cache_namespace="ns",
    pull="always",
    labels={"a": "1"},
    epoch=7,
)


def op(state: State) -> Any:
    assert state.head is not None
    return state.head.vertex.op


def test_what_steps_get() -> None:
    @target(options=ALL)
    def app() -> State:
        return image("alpine").workdir("/w", create=True).run("make").mount(cache("/c"))

    made = app()
    run = op(made)
    assert isinstance(run, ExecOp)
    assert run.network == NetMode.HOST
    meta = run.meta
    assert (meta.hostname, meta.cgroup_parent) == ("builder", "/docker/x")
    assert meta.extra_hosts == (HostIP(host="db", ip="10.0.0.2"),)
    assert meta.ulimits == (Ulimit(name="nofile", soft=1, hard=2), Ulimit(name="core", soft=0, hard=0))
    assert meta.proxy_env == ProxyEnv(http_proxy="http://p")
    caches = [mount for mount in run.mounts if isinstance(mount, CacheMount)]
    assert [mount.cache_id for mount in caches] == ["ns//c"]
    assert [mount.size for mount in run.mounts if isinstance(mount, TmpfsMount)] == [1024]
    ops = [vertex.op for vertex in Graph([made.head]).vertices]
    assert [dict(each.attrs) for each in ops if isinstance(each, SourceOp)] == [{"image.resolvemode": "pull"}]
    (made_at,) = (each.actions[0].timestamp for each in ops if isinstance(each, FileOp))  # type: ignore[union-attr]
    assert made_at == 7_000_000_000
    assert (made.patch.labels, made.patch.epoch) == ((("a", "1"),), 7)
    assert [step.text for step in made.patch.steps if step.text.startswith("LABEL")] == []


def test_what_a_call_says_wins() -> None:
    with building_with(ALL):
        assert op(image("alpine", pull="default")).attrs == ()
        assert op(image("alpine").run("make", network="none")).network == NetMode.NONE
    assert op(image("alpine").run("make")).network == NetMode.SANDBOX


def test_the_command_line_wins_and_what_is_built_decides() -> None:
    @target(options=BuildOptions(network="none", hostname="inner", labels={"inner": "1"}))
    def inner() -> State:
        return image("alpine").run("a")

    @target(options=BuildOptions(network="host", labels={"own": "1", "both": "1"}))
    def outer() -> State:
        return inner().run("b")

    with building_with(BuildOptions(hostname="asked", labels={"both": "2"})):
        made = outer()
    runs = [vertex.op for vertex in Graph([made.head]).vertices if isinstance(vertex.op, ExecOp)]
    assert {(run.network, run.meta.hostname) for run in runs} == {(NetMode.HOST, "asked")}
    assert dict(made.patch.labels) == {"own": "1", "both": "2"}


BUILDFILE = """
from pybuild import State, git, image, scratch, source_date_epoch, target

@target
def source(v: str = "1") -> State:
    return scratch().add(f"https://example.com/{v}.tar", "/")

@target
def two() -> State:
    return source().add("https://example.com/other", "/")

@target(default=True)
def app(http_proxy: str = "") -> State:
    return image("alpine").run(f"{http_proxy} {source_date_epoch()}")
"""


class Dates:
    """Says of a source how long its address is."""

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See protocols.MetadataResolver."""
        raise AssertionError("no image is asked for")

    def source_time(self, source: Edge) -> int | None:
        """See protocols.SourceDates."""
        assert isinstance(source.vertex.op, SourceOp)
        return len(source.vertex.op.reference)


def test_arguments_that_every_build_knows(tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    buildfile = load_buildfile(tmp_path)
    given = {"HTTP_PROXY": "http://p", "no_proxy": "x", "SOURCE_DATE_EPOCH": "0", "BUILDKIT_SANDBOX_HOSTNAME": "h"}
    run = op(buildfile.state(None, given))
    assert run.meta.args == ("http://p 0",)
    assert run.meta.proxy_env == ProxyEnv(http_proxy="http://p", no_proxy="x")
    assert run.meta.hostname == "h"
    assert op(buildfile.state()).meta.args == (" None",)
    with pytest.raises(TargetError, match="HTTP_PROXI"):
        buildfile.state(None, {"HTTP_PROXI": "x"})


def test_the_date_of_a_target(tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    buildfile = load_buildfile(tmp_path)
    with context.looking_up(Dates()):
        dated = buildfile.state("two", {"SOURCE_DATE_EPOCH": "Source"})
        assert dated.patch.epoch == len("example.com/1.tar")
        with pytest.raises(TargetError, match="2 downloads"):
            buildfile.state(None, {"SOURCE_DATE_EPOCH": "two"})
        with pytest.raises(TargetError, match='no target "three"'):
            buildfile.state(None, {"SOURCE_DATE_EPOCH": "three"})
    assert buildfile.state(None, {"SOURCE_DATE_EPOCH": ""}).patch.epoch is None


def test_the_date_of_a_state(tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import BuildOptions, http, image, scratch, target\n\n"
        "SITE = http('https://example.com/1.tar', unpack=True)\n\n"
        "@target(options=BuildOptions(epoch=SITE))\ndef app():\n    return scratch().copy(SITE, '/')\n\n"
        "@target(options=BuildOptions(epoch=image('alpine')))\ndef wrong():\n    return scratch()\n"
    )
    buildfile = load_buildfile(tmp_path)
    with context.looking_up(Dates()):
        assert buildfile.state("app").patch.epoch == len("example.com/1.tar")
        with pytest.raises(TargetError, match="the state has 0 downloads"):
            buildfile.state("wrong")


def test_outside_of_a_build_there_is_no_date() -> None:
    assert source_date_epoch() is None
    assert op(scratch().workdir("/w", create=True)).actions[0].timestamp == -1


def test_from_flags() -> None:
    raw = {
        "force-network-mode": "none",
        "add-hosts": "a=::1",
        "image-resolve-mode": "local",
        "build-arg:ALL_PROXY": "p",
    }
    found = from_frontend({**raw, "label:x": "y", "build-arg:OTHER": "1"})
    wanted = BuildOptions(network="none", hosts={"a": "::1"}, pull="never", proxies={"all": "p"}, labels={"x": "y"})
    assert found == wanted


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hosts": {"a": "nowhere"}}, "failed to parse IP nowhere"),
        ({"ulimits": {"files": 1}}, "invalid ulimit type: files"),
        ({"proxies": {"gopher": "x"}}, 'there is no proxy "gopher"'),
        ({"shm_size": "much"}, "is not a size"),
    ],
)
def test_wrong(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        BuildOptions(**wrong)


def test_the_platform_that_was_asked_for_is_that_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import image, target\n\n\n@target\ndef app():\n"
        "    return image('alpine', platform='linux/arm64')\n"
    )
    buildfile = load_buildfile(tmp_path)
    base = scratch_config(Platform("linux", "arm64"))
    assert apply_patch(base, buildfile.state().patch).platform == base.platform
    with building_for(Platform("linux", "arm", "v7")):
        assert str(apply_patch(base, buildfile.state().patch).platform) == "linux/arm/v7"
