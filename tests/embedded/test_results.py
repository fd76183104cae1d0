"""What a build returns: files, commands, logs and steps of real containers."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from pybuild import (
    PybuildError,
    State,
    build,
    build_platform,
    embedded,
    oci_layout,
    scratch,
    secret,
    target,
    target_platform,
    to_oci,
)
from pybuild.errors import ArgumentError, ExecError
from pybuild.platform import host_platform
from pybuild.results.result import BuildResult

pytestmark = pytest.mark.engine


@pytest.fixture
def base(base_layout: Path) -> State:
    return oci_layout(base_layout, "debian:bookworm")


def made(state: State, root: Path) -> BuildResult:
    return build(state, engine=embedded(root), progress="quiet")


def test_files_and_what_a_step_changed(base: State, warm_root: Path) -> None:
    state = base.run("mkdir /d && echo text > /d/file && chmod 600 /etc/issue && rm /etc/debian_version")
    before, after = made(base, warm_root), made(state, warm_root)
    assert after.fs.read_text("/d/file") == "text\n"
    assert after.fs.ls("/d").names == ["file"]
    changes = before.fs.diff(after.fs)
    assert changes.paths("added") == ["/d", "/d/file"]
    assert changes.paths("changed") == ["/etc/issue"]
    assert changes.paths("removed") == ["/etc/debian_version"]
    assert after.fs.du("/d").size == 5


def test_an_intermediate_state_is_built_when_it_is_looked_at(
    base: State, warm_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYBUILD_ROOT", str(warm_root))
    first = base.run("echo one > /one")
    second = first.run("echo two > /two")
    assert "/two" not in first.fs
    assert second.fs.read_text("/two") == "two\n"
    assert first.fs.diff(second.fs).paths("added") == ["/two"]


def test_a_command_in_the_result(base: State, warm_root: Path) -> None:
    result = made(base.env(GREETING="hello").workdir("/srv").user("daemon").write("/file", "text"), warm_root)
    done = result.run("echo $GREETING; pwd >&2; id -un")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "hello\ndaemon\n", "/srv\n")
    assert sorted(done.output.splitlines()) == ["/srv", "daemon", "hello"]
    assert done.ok
    assert result.run(["cat", "/file"]).stdout == "text"
    assert result.run("rm /file || touch /srv/x", user="root").ok
    assert "/file" in result.fs


def test_a_command_that_fails(base: State, warm_root: Path) -> None:
    result = made(base, warm_root)
    with pytest.raises(ExecError) as caught:
        result.run("echo why; exit 3")
    assert (caught.value.exit_code_of_step, caught.value.log) == (3, b"why\n")
    assert caught.value.locations[0].file == __file__
    done = result.run("echo why; exit 3", check=False)
    assert (done.ok, done.exit_code, done.stdout) == (False, 3, "why\n")
    assert repr(done) == "<Completed 'echo why; exit 3': exit code 3>"


def test_commands_are_offered_what_the_build_was(base: State, warm_root: Path) -> None:
    result = build(base, engine=embedded(warm_root), progress="quiet", secrets={"token": "abc"})
    assert result.run("cat /run/secrets/token", mounts=[secret("token")]).stdout == "abc"


def test_a_command_may_have_what_its_caller_asks_for(base: State, warm_root: Path) -> None:
    result = made(base, warm_root)
    interfaces = "tail -n +3 /proc/net/dev | wc -l"
    assert int(result.run(interfaces, network="host").stdout) >= 1
    assert result.run(interfaces, network="none").stdout == "1\n"
    assert result.run("grep CapEff /proc/self/status", security="insecure").stdout.split()[1].endswith("ffff")


def test_commands_in_the_result_of_each_platform(base_layout: Path, warm_root: Path) -> None:
    @target(platforms=["linux/amd64", "linux/arm64"])
    def app() -> State:
        # Its programs are this machine's, so that they run here whatever is built for.
        tools = oci_layout(base_layout, "debian:bookworm", platform=build_platform())
        return tools.env(FOR=target_platform().architecture).run("echo $FOR > /for")

    result = build(app, engine=embedded(warm_root), progress="quiet")
    for name in ("amd64", "arm64"):
        of_one = result.for_platform(f"linux/{name}")
        assert of_one.run("cat /for; echo $FOR").stdout == f"{name}\n{name}\n"
        assert of_one.fs.read_text("/for") == f"{name}\n"
    assert result.run("cat /for").stdout == "amd64\n"


def test_every_value_has_a_text_and_an_html_form(base: State, warm_root: Path, tmp_path: Path) -> None:
    state = base.run("mkdir /d && touch '/d/<a>'", name="make <it>")
    result = build(state, to_oci(tmp_path / "o.tar"), engine=embedded(warm_root), progress="quiet")
    shown: dict[str, object] = {
        "<BuildResult sha256:": result,
        "<StepResult make <it>: done in ": result.steps[1],
        "STEP ": result.steps[1:],
        "MODE ": result.fs.ls("/d")[:1],
        "FileInfo(path='/d/<a>'": result.fs.stat("/d/<a>"),
        "Usage(path='/d/<a>'": result.fs.du("/d").entries[0],
        f"<ExportResult oci {tmp_path}/o.tar sha256:": result.exports[0],
        f"<PlatformResult {host_platform()}>": result.variants[0],
        f"<EmbeddedEngine {warm_root}": embedded(warm_root),
    }
    for text, value in shown.items():
        assert repr(value).startswith(text)
        assert "<a>" not in value._repr_html_(), text  # type: ignore[attr-defined]
    assert json.loads(str(result.config))["os"] == "linux"
    assert f"<code>{host_platform()}</code>" == result.config.platform._repr_html_()


def test_the_platform_of_a_result_whose_engine_keeps_the_files(warm_root: Path) -> None:
    result = attrs.evolve(made(scratch().mkdir("/a"), warm_root), variants=())
    assert result.for_platform(str(host_platform())) is result
    with pytest.raises(ArgumentError, match="no result for linux/s390x"):
        result.for_platform("linux/s390x")


def test_the_result_of_any_state(base: State, warm_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYBUILD_ROOT", str(warm_root))
    first = base.env(KIND="first").run("echo said; echo 1 > /number")
    second = first.run("rm /number")
    assert second.result.steps[-1].name == "rm /number"
    assert first.result.cached
    assert first.result.log() == "said\n"
    assert first.result.config.environment()["KIND"] == "first"
    assert first.result.run("cat /number").stdout == "1\n"


def test_logs_and_steps(base: State, warm_root: Path, tmp_path: Path) -> None:
    first = base.run(f"echo first {tmp_path}")
    second = first.run(f"echo second {tmp_path} >&2")
    result = made(second, warm_root)
    assert result.log(first) == f"first {tmp_path}\n"
    assert result.log("echo second") == f"second {tmp_path}\n"
    assert result.log() == f"first {tmp_path}\nsecond {tmp_path}\n"
    assert result.log(result.steps[-1]) == result.log(second)
    with pytest.raises(ArgumentError, match="no step 'third'"):
        result.log("third")
    assert [step.state for step in result.steps[1:]] == ["done", "done"]
    lines = repr(result.steps).splitlines()
    assert lines[0].split() == ["STEP", "STATE", "TIME", "SIZE", "WHERE"]
    assert "test_results.py" in lines[-1]
    bundle = result._repr_mimebundle_()
    assert "<svg" in bundle["text/html"]
    assert "echo second" in bundle["text/plain"]


def test_the_files_of_nothing(warm_root: Path) -> None:
    assert made(scratch(), warm_root).fs.ls().names == []


def test_a_result_without_an_engine_says_so(warm_root: Path) -> None:
    result = made(scratch().mkdir("/a"), warm_root)
    alone = BuildResult(
        results=result.results, config=result.config, metadata={}, exports=(), duration=0.0, graph=result.graph
    )
    for use in (lambda: alone.fs, lambda: alone.run("true")):
        with pytest.raises(PybuildError):
            use()


def test_the_log_of_a_cached_step_is_of_when_it_ran(base: State, warm_root: Path, tmp_path: Path) -> None:
    first = base.run(f"echo for {tmp_path}; echo and >&2")
    state = first.run("true")
    made(state, warm_root)
    again = made(state, warm_root)
    assert again.cached
    assert sorted(again.log(first).splitlines()) == ["and", f"for {tmp_path}"]
    assert again.log("true") == ""
    assert "/log.zlib" not in again.fs
    embedded(warm_root).store().gc.prune(keep_bytes=0)
    assert again.log(first) == ""


def test_a_kept_log_shows_no_secret(base: State, warm_root: Path) -> None:
    state = base.run("echo $TOKEN", mounts=[secret("token", env="TOKEN")])
    secrets = {"token": "very-secret-text"}
    for _ in range(2):
        result = build(state, engine=embedded(warm_root), progress="quiet", secrets=secrets)
        assert "very-secret" not in result.log("echo")
