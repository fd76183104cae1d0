"""The client by itself: Dockerfiles through the engine's own frontend, caches shared with docker, the control API."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybuild import State, local, oci_layout, scratch, to_dir
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.engine.buildkit import Address, BuildKitEngine, Client, Export, Gateway, Result, Uploads, connect
from pybuild.engine.buildkit.gateway import refs_of
from pybuild.errors import CapabilityError, ExecError, PybuildError, RemoteError
from pybuild.llb.marshal import marshal
from pybuild.protocols import OutputSpec
from tests.buildkit.conftest import ROOT
from tests.buildkit.test_engine import Log, run
from tests.embedded.conftest import unique
from tests.embedded.registry import registry, token_registry

pytestmark = pytest.mark.docker


@pytest.fixture
def client(buildkit: str) -> Iterator[Client]:
    with connect(buildkit) as made:
        yield made


@pytest.fixture(scope="session")
def base_image(engine: BuildKitEngine, base_layout: Path) -> str:
    """The Debian base as an image of the daemon."""
    name = "pybuild-test-base:latest"
    output = OutputSpec(type="docker", attrs=(("name", name),))
    run(engine, oci_layout(base_layout, "debian:bookworm"), output)
    return name


def test_the_example(docker_host: str, base_image: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples/buildkit_client.py", base_image, tmp_path / "out"],
        env={**os.environ, "DOCKER_HOST": docker_host, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/greeting.txt").read_text() == "hello\n"
    expected = hashlib.sha256(b"nobody may see this").hexdigest()
    assert (tmp_path / "out/token.sha256").read_text().startswith(expected)
    assert "COPY greeting.txt /" in done.stdout


def dockerfile(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(text)
    return folder


def test_a_failed_instruction_has_its_line_of_the_dockerfile(client: Client, base_image: str, tmp_path: Path) -> None:
    context = dockerfile(tmp_path / "c", f"FROM {base_image}\nRUN echo {unique()}\nRUN exit 9\n")
    with pytest.raises(ExecError) as caught:
        client.build(frontend="dockerfile.v0", local_dirs={"context": context, "dockerfile": context})
    assert caught.value.exit_code_of_step == 9
    assert 'process "/bin/sh -c exit 9"' in caught.value.message
    assert str(caught.value.locations[0]) == "Dockerfile:3"


def test_an_error_of_the_frontend(client: Client, tmp_path: Path) -> None:
    context = dockerfile(tmp_path / "c", "FROM scratch\nCOPI a b\n")
    with pytest.raises(RemoteError, match="unknown instruction: COPI") as caught:
        client.build(frontend="dockerfile.v0", local_dirs={"context": context, "dockerfile": context})
    assert str(caught.value.locations[0]) == "Dockerfile:2"


def test_a_directory_that_was_not_offered_is_refused_by_name(client: Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    definition = marshal(scratch().copy(local(tmp_path, name="mine")).head)
    with pytest.raises(PybuildError, match='no access allowed to dir "mine"'):
        client.build(definition, local_dirs={"other": tmp_path})


def test_steps_of_docker_build_are_cached_for_us_and_the_other_way_round(
    engine: BuildKitEngine, docker: Callable[..., str], docker_host: str, base_image: str, tmp_path: Path
) -> None:
    from pybuild import image

    marker = unique()
    context = dockerfile(
        tmp_path / "c", f"FROM {base_image}\nWORKDIR /w\nCOPY file /w/\nRUN cat file > copied # {marker}\n"
    )
    (context / "file").write_text(marker)

    def ours(command: str) -> State:
        state = image(base_image).workdir("/w")
        return state.mkdir("/w").copy(local(context).path("file"), "/w/").run(f"cat file > copied # {command}")

    docker("buildx", "build", "--progress=plain", context)
    log = Log()
    run(engine, ours(marker), log=log)
    assert log.states[f"cat file > copied # {marker}"] == "cached", log.states

    other = unique()
    run(engine, ours(other))
    dockerfile(context, (context / "Dockerfile").read_text().replace(f"# {marker}", f"# {other}"))
    said = docker("buildx", "build", "--progress=plain", context)
    assert f"RUN cat file > copied # {other}\n" in said
    number = next(line.split()[0] for line in said.splitlines() if line.endswith(f"# {other}"))
    assert f"{number} CACHED" in said


def test_a_function_of_the_client_as_the_frontend(client: Client, tmp_path: Path) -> None:
    text = unique()

    def function(gateway: Gateway) -> Result:
        state = scratch().mkdir("/d").write("/d/f", text)
        ref = refs_of(gateway.solve(marshal(state.head)))[""]
        assert gateway.read_file(ref, "/d/f") == text.encode()
        assert gateway.read_file(ref, "/d/f", offset=1, length=3) == text[1:4].encode()
        assert [entry.path for entry in gateway.read_directory(ref, "/d")] == ["f"]
        assert gateway.stat(ref, "/d/f").size == len(text)
        with pytest.raises(RemoteError, match="no such file"):
            gateway.read_file(ref, "/nowhere")
        return Result(refs={"": ref})

    client.build(function=function, exports=[Export("local", dest=tmp_path / "out")])
    assert (tmp_path / "out/d/f").read_text() == text


def test_what_a_function_raises_is_raised(client: Client) -> None:
    def function(_gateway: Gateway) -> Result:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        client.build(function=function)


def test_workers_usage_prune_and_history(client: Client, engine: BuildKitEngine) -> None:
    marker = unique()
    run(engine, scratch().write("/f", marker).named(marker))
    assert any(platform.architecture == "amd64" for worker in client.workers() for platform in worker.platforms)
    records = client.disk_usage()
    assert any(marker in record.description for record in records)
    assert all(record.size >= 0 for record in records)
    removed = list(client.prune("type==source.local"))
    assert {record.id for record in removed}.isdisjoint(record.id for record in client.disk_usage())
    history = client.history()
    assert history
    client.forget(history[-1].Ref)
    assert history[-1].Ref not in [record.Ref for record in client.history()]
    assert engine.describe().platforms


def test_a_session_inside_a_call_as_buildkitd_has_it(docker_host: str, tmp_path: Path) -> None:
    # A Docker Engine serves Control.Session as well; only how its channel is dialled differs.
    with connect(f"docker+{docker_host}") as client:
        plain = Address(scheme="unix", target=client.address.target)
        client.channel.address = plain
        (tmp_path / "in").mkdir()
        (tmp_path / "in/file").write_bytes(os.urandom(3_000_000))
        definition = marshal(scratch().copy(local(tmp_path / "in", name="in")).head)
        client.build(definition, local_dirs={"in": tmp_path / "in"}, exports=[Export("local", dest=tmp_path / "out")])
    assert (tmp_path / "out/file").read_bytes() == (tmp_path / "in/file").read_bytes()


def test_images_as_a_layout_in_a_directory(client: Client, tmp_path: Path) -> None:
    definition = marshal(scratch().write("/f", unique()).head)
    answer = client.build(definition, exports=[Export("oci", dest=tmp_path / "layout", attrs={"tar": "false"})])
    blob = tmp_path / "layout/blobs" / answer["containerimage.digest"].replace(":", "/")
    manifest = json.loads(blob.read_bytes())
    for layer in manifest["layers"]:
        data = (tmp_path / "layout/blobs" / layer["digest"].replace(":", "/")).read_bytes()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer["digest"]


def test_what_an_engine_lacks_is_said_before_anything_runs(engine: BuildKitEngine) -> None:
    from pybuild.engine.buildkit import capabilities

    graph = request_for(scratch().write("/f", "x")).graph
    with pytest.raises(CapabilityError, match='"mkfile /f" needs file.base, which the engine does not have') as caught:
        capabilities.check(graph, frozenset({"exec.meta.base"}))
    assert caught.value.locations[0].frames[0].file == __file__


def test_a_plan_is_not_to_be_had(engine: BuildKitEngine) -> None:
    with pytest.raises(CapabilityError, match="does not say in advance"):
        engine.plan(request_for(scratch().write("/f", "x")), session_for())


def test_symbolic_links_on_an_engine_that_cannot_make_them(engine: BuildKitEngine, tmp_path: Path) -> None:
    state = scratch().mkdir("/d").symlink("../target", "/d/link").symlink("../target", "/other").write("/target", "x")
    run(engine, state, to_dir(tmp_path / "out"))
    assert os.readlink(tmp_path / "out/d/link") == "../target"
    assert os.readlink(tmp_path / "out/other") == "../target"


def test_a_definition_of_ten_thousand_steps(client: Client) -> None:
    state = scratch()
    for number in range(10_000):
        state = state.write("/f", str(number))
    definition = marshal(state.head)

    def function(gateway: Gateway) -> Result:
        refs_of(gateway.solve(definition, evaluate=False))  # read and checked by the engine; running it is its work
        return Result(refs={"": ""})

    client.build(function=function)


def test_an_archive_as_the_context(client: Client, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in (("Dockerfile", b"FROM scratch\nCOPY file /copied\n"), ("file", os.urandom(3_000_000))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    uploads = Uploads()
    url = uploads.add(io.BytesIO(archive.getvalue()))
    client.build(
        frontend="dockerfile.v0",
        options={"context": url},
        services=[uploads],
        exports=[Export("local", dest=tmp_path / "out")],
    )
    with tarfile.open(fileobj=io.BytesIO(archive.getvalue())) as tar:
        member = tar.extractfile("file")
        assert member is not None
        assert (tmp_path / "out/copied").read_bytes() == member.read()


@pytest.mark.parametrize("tokens_of", ["client", "engine"])
def test_tokens_of_a_registry(
    engine: BuildKitEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens_of: str
) -> None:
    """The client gets them, so the engine never sees the password; unless it is told not to."""
    from pybuild import image

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("BUILDKIT_NO_CLIENT_TOKEN", "0" if tokens_of == "client" else "1")
    basic = base64.b64encode(b"joe:pw").decode()
    text = unique()
    with registry(tmp_path / "registry") as behind, token_registry(behind, f"Basic {basic}") as front:
        (tmp_path / "config").mkdir()
        (tmp_path / "config/config.json").write_text(json.dumps({"auths": {front.address: {"auth": basic}}}))
        name = f"{front.address}/private/app:1"
        run(engine, scratch().write("/f", text), OutputSpec(type="image", attrs=(("name", name), ("push", "true"))))
        run(engine, scratch().copy(image(name).path("/f"), "/g"), to_dir(tmp_path / "out"))
        assert (tmp_path / "out/g").read_text() == text
        assert any("private%2Fapp%3Apull%2Cpush" in scope for scope in front.scopes)
        assert {agent.startswith("python-urllib3") for agent in front.agents} == {tokens_of == "client"}


def test_a_registry_that_knows_nobody_of_that_password(
    engine: BuildKitEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pybuild import image

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    with token_registry("127.0.0.1:9", "Basic of-somebody") as front:
        state = image(f"{front.address}/private/app:1")
        with pytest.raises(PybuildError, match="status 401") as caught:
            run(engine, state.write("/f", "x"))
    assert caught.value.locations[0].frames[0].file == __file__
