"""The BuildKit engine on a real daemon: what is built, what is inherited, what is said when something fails."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pybuild import (
    Output,
    PybuildError,
    State,
    build,
    image,
    local,
    oci_layout,
    scratch,
    secret,
    target,
    target_platform,
    to_dir,
    to_none,
    to_oci,
    to_registry,
    to_tar,
)
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.engine.buildkit.engine import BuildKitEngine
from pybuild.engine.buildkit.gateway import Gateway
from pybuild.errors import CapabilityError, ExecError, SecretNotFound, SolveError
from pybuild.protocols import ProgressEvent, SolveResult, StepFinished, StepLog
from tests.embedded.conftest import unique
from tests.embedded.images import read_image
from tests.embedded.registry import registry

pytestmark = pytest.mark.docker


class Log:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.events: list[ProgressEvent] = []

    def emit(self, event: ProgressEvent) -> None:
        self.events.append(event)

    @property
    def text(self) -> str:
        return b"".join(event.data for event in self.events if isinstance(event, StepLog)).decode()

    @property
    def states(self) -> dict[str, str]:
        return {event.name: event.state for event in self.events if isinstance(event, StepFinished)}


def run(
    engine: BuildKitEngine,
    state: State,
    output: object = None,
    log: Log | None = None,
    secrets: dict[str, str] | None = None,
    no_cache: Sequence[str] = (),
) -> SolveResult:
    request = request_for(state, output, no_cache=no_cache)  # type: ignore[arg-type]
    return engine.run(request, session_for(secrets), log or Log())


def test_files_arrive_as_they_were_defined(engine: BuildKitEngine, tmp_path: Path) -> None:
    state = scratch().mkdir("/a").write("/a/file", "text", mode=0o640).mkdir("/empty", mode=0o700)
    run(engine, state.write("/tool", "x", mode=0o755), to_dir(tmp_path / "out"))
    out = tmp_path / "out"
    assert (out / "a/file").read_text() == "text"
    assert stat.S_IMODE((out / "a/file").stat().st_mode) == 0o640
    assert stat.S_IMODE((out / "empty").stat().st_mode) == 0o700
    assert stat.S_IMODE((out / "tool").stat().st_mode) == 0o755


def test_steps_inherit_what_the_image_says(engine: BuildKitEngine, base: State, tmp_path: Path) -> None:
    log = Log()
    state = base.env(COLOUR="blue").workdir("/work").run(f"echo {unique()}; pwd; echo $COLOUR $PATH")
    result = run(engine, state, to_oci(tmp_path / "image.tar"), log)
    assert "/work\nblue /usr/local/sbin:" in log.text
    image = read_image(tmp_path / "image.tar")
    assert image.config["config"]["WorkingDir"] == "/work"
    assert "COLOUR=blue" in image.config["config"]["Env"]
    assert result.config.config.working_dir == "/work"
    assert [entry["created_by"].split()[0] for entry in image.config["history"]][-1] == "RUN"


def test_the_second_build_is_cached(engine: BuildKitEngine, base: State) -> None:
    state = base.run(f"echo {unique()}")
    assert [step.state for step in run(engine, state).steps][-1] == "done"
    assert [step.state for step in run(engine, state).steps][-1] == "cached"
    assert [step.state for step in run(engine, state, no_cache=["*"]).steps][-1] == "done"


def test_a_context_is_sent_without_what_its_ignore_file_names(engine: BuildKitEngine, tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "secret").mkdir(parents=True)
    (context / "secret/key").write_text("private")
    (context / "kept").write_text("public")
    os.symlink("kept", context / "link")
    (context / ".dockerignore").write_text("secret\n")
    run(engine, scratch().copy(local(context)), to_dir(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".dockerignore", "kept", "link"]
    assert os.readlink(tmp_path / "out/link") == "kept"


def test_two_directories_of_one_name_are_told_apart(engine: BuildKitEngine, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    state = scratch()
    for name in ("one", "two"):
        state = state.copy(local(tmp_path / name, name="context").path("file"), f"/{name}")
    run(engine, state, to_dir(tmp_path / "out"))
    assert (tmp_path / "out/one").read_text() == "one"
    assert (tmp_path / "out/two").read_text() == "two"


def test_a_failed_command_has_its_line_output_and_exit_code(engine: BuildKitEngine, base: State) -> None:
    marker = unique()
    with pytest.raises(ExecError) as caught:
        run(engine, base.run(f"echo {marker}; echo to stderr >&2; exit 7"))
    assert caught.value.exit_code_of_step == 7
    said = caught.value.log.decode().splitlines()  # the two streams come in any order
    assert sorted(said) == sorted([marker, "to stderr"])
    assert caught.value.locations[0].frames[0].file == __file__


def test_secrets_reach_the_step_and_nothing_else(engine: BuildKitEngine, base: State, tmp_path: Path) -> None:
    value = unique()
    state = base.run(f"sha256sum /run/secrets/token > /sum # {unique()}").mount(secret("token"))
    run(engine, scratch().copy(state.path("/sum"), "/sum"), to_dir(tmp_path / "out"), secrets={"token": value})
    import hashlib

    assert (tmp_path / "out/sum").read_text().startswith(hashlib.sha256(value.encode()).hexdigest())


def test_a_missing_secret_is_named_with_the_line_that_needs_it(engine: BuildKitEngine, base: State) -> None:
    with pytest.raises(SecretNotFound) as caught:
        run(engine, base.run(f"cat /run/secrets/nope; # {unique()}").mount(secret("nope")))
    assert caught.value.secret_id == "nope"
    assert caught.value.locations[0].frames[0].file == __file__


def test_a_missing_file_has_the_line_that_copies_it(engine: BuildKitEngine, tmp_path: Path) -> None:
    with pytest.raises(SolveError, match="nowhere") as caught:
        run(engine, scratch().copy(local(tmp_path).path("nowhere"), "/x"))
    assert caught.value.locations[0].frames[0].file == __file__


def test_a_directory_that_is_not_there_is_named(engine: BuildKitEngine, tmp_path: Path) -> None:
    with pytest.raises(PybuildError, match=r"the local directory .*/gone. does not exist"):
        run(engine, scratch().copy(local(tmp_path / "gone"), "/x"))


def test_tar_and_several_outputs_at_once(engine: BuildKitEngine, tmp_path: Path) -> None:
    import tarfile

    state = scratch().write("/file", unique())
    result = run(engine, state, [to_dir(tmp_path / "dir"), to_tar(tmp_path / "out.tar")])
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert "file" in archive.getnames()
    assert (tmp_path / "dir/file").exists()
    assert [export.type for export in result.exports] == ["local", "tar"]


def test_an_image_in_the_daemon(
    engine: BuildKitEngine, base: State, docker: Callable[..., str], tmp_path: Path
) -> None:
    name = f"pybuild-test:{unique()}"
    state = base.run("echo hello > /greeting").entrypoint("cat", "/greeting").label(made="here")
    request = request_for(state)
    import attrs

    from pybuild.protocols import OutputSpec

    request = attrs.evolve(request, outputs=(OutputSpec(type="docker", attrs=(("name", name),)),))
    result = engine.run(request, session_for(), Log())
    assert str(result.metadata["containerimage.digest"]).startswith("sha256:")
    assert '"made":"here"' in docker("image", "inspect", "--format", "{{json .Config.Labels}}", name)
    assert docker("run", "--rm", "--network", "none", name).startswith("hello")


def test_the_api_takes_an_address(buildkit: str, tmp_path: Path) -> None:
    build(scratch().write("/f", "1"), to_dir(tmp_path / "out"), engine=buildkit, progress="quiet")
    assert (tmp_path / "out/f").read_text() == "1"


def test_an_unwritable_destination_is_the_error(engine: BuildKitEngine, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(PybuildError, match="cannot write"):
        run(engine, scratch().write("/f", "1"), to_dir(tmp_path / "out"))


def test_base_layouts_are_served_from_the_client(engine: BuildKitEngine, base_layout: Path, tmp_path: Path) -> None:
    release = oci_layout(base_layout, "debian:bookworm").path("/usr/lib/os-release")
    run(engine, scratch().copy(release, "/os-release"), to_dir(tmp_path / "out"))
    assert "bookworm" in (tmp_path / "out/os-release").read_text()


def test_images_are_looked_up_from_here_where_the_engine_cannot(
    engine: BuildKitEngine, base_layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a registry with a login, and of a layout: what a step inherits is the same."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    login = base64.b64encode(b"joe:pw").decode()
    with registry(tmp_path / "registry", users={"joe": "pw"}) as hub:
        (tmp_path / "config/config.json").write_text(json.dumps({"auths": {hub: {"auth": login}}}))
        layout = oci_layout(base_layout, "debian:bookworm")
        name = f"{hub}/base:1"
        run(engine, layout.env(COLOUR="blue").workdir("/work"), to_registry(name))
        asked: list[str] = []
        call = Gateway._call

        def refusing(self: Gateway, method: str, request: Any, answer: Any) -> Any:
            if method in ("ResolveImageConfig", "ResolveSourceMeta"):
                asked.append(method)
                raise CapabilityError("unknown method")
            return call(self, method, request, answer)

        monkeypatch.setattr(Gateway, "_call", refusing)
        for state, expected in ((image(name), "/work blue"), (layout, "/ none")):
            log = Log()
            result = run(engine, state.run(f"echo $PWD ${{COLOUR:-none}} # {unique()}"), to_none(), log)
            assert expected in log.text
            assert any(variable.startswith("PATH=") for variable in result.config.config.env)
    assert "ResolveImageConfig" in asked


def test_several_platforms_make_one_index(engine: BuildKitEngine, tmp_path: Path) -> None:
    @target(platforms=["linux/amd64", "linux/arm64"])
    def app() -> State:
        return scratch().write("/arch", target_platform().architecture).label(arch=target_platform().architecture)

    outputs = [to_dir(tmp_path / "out"), Output(type="oci", dest=str(tmp_path / "layout"), attrs={"tar": "false"})]
    for output in outputs:
        result = engine.run(request_for(app, output), session_for(), Log())
    files = {str(path.relative_to(tmp_path / "out")): path.read_text() for path in (tmp_path / "out").rglob("arch")}
    assert files == {"linux_amd64/arch": "amd64", "linux_arm64/arch": "arm64"}
    digest = str(result.metadata["containerimage.digest"])
    index = json.loads((tmp_path / "layout/blobs" / digest.replace(":", "/")).read_text())
    platforms = [entry["platform"] for entry in index["manifests"]]
    assert [platform["architecture"] for platform in platforms if platform["os"] != "unknown"] == ["amd64", "arm64"]


def test_provenance_is_made_by_the_engine(engine: BuildKitEngine, tmp_path: Path) -> None:
    output = Output(type="oci", dest=str(tmp_path / "layout"), attrs={"tar": "false"})
    request = request_for(scratch().write("/a", unique()), output, attests=["type=provenance,mode=max"])
    digest = str(engine.run(request, session_for(), Log()).metadata["containerimage.digest"])

    def blob(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((tmp_path / "layout/blobs" / name.replace(":", "/")).read_text())
        return found

    [attested] = [entry for entry in blob(digest)["manifests"] if entry["platform"]["os"] == "unknown"]
    [layer] = blob(attested["digest"])["layers"]
    assert "slsa.dev/provenance" in layer["annotations"]["in-toto.io/predicate-type"]
    with pytest.raises(CapabilityError, match="made by the embedded engine alone"):
        engine.run(request_for(scratch(), attests=["type=sbom"]), session_for(), Log())
