"""Images go through a registry to buildah, and come from it."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybuild import State, image, scratch, to_registry, to_tar
from pybuild.protocols import OutputSpec
from tests.embedded.conftest import Builder, unique
from tests.embedded.registry import registry

pytestmark = pytest.mark.engine

Buildah = Callable[..., str]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """Runs buildah with storage of its own, and returns what it prints."""
    directory = tmp_path_factory.mktemp("buildah")
    storage = ["--storage-driver", "vfs", "--root", str(directory / "root"), "--runroot", str(directory / "run")]
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}

    def run(*arguments: str | Path) -> str:
        command = ["buildah", *storage, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    yield run
    run("rm", "--all")


def app() -> State:
    return (
        scratch()
        .mkdir("/srv", mode=0o750)
        .write("/srv/page", unique(), mode=0o640, owner="1000:1001")
        .symlink("page", "/srv/link")
        .mkdir("/srv/old")
        .remove("/srv/old")
        .env(LANG="C.UTF-8")
        .workdir("/srv")
        .label(origin="pybuild")
        .entrypoint("/srv/page")
    )


@pytest.mark.parametrize("attributes", [{}, {"compression": "zstd"}, {"oci-mediatypes": "false"}])
def test_buildah_pulls_what_was_pushed(
    attributes: dict[str, str], address: str, buildah: Buildah, fresh: Builder
) -> None:
    name = f"{address}/team/app:{unique()}"
    result = fresh(app(), output=OutputSpec(type="registry", attrs=(("name", name), *attributes.items())))
    buildah("pull", "--tls-verify=false", f"docker://{name}")
    facts = json.loads(buildah("inspect", "--type", "image", name))
    assert facts["FromImageDigest"] == result.metadata["containerimage.digest"]
    config = facts["OCIv1"]["config"]
    assert config["Entrypoint"] == ["/srv/page"]
    assert config["WorkingDir"] == "/srv"
    assert config["Labels"] == {"origin": "pybuild"}
    assert "LANG=C.UTF-8" in config["Env"]
    container = buildah("from", "--pull-never", name)
    root = Path(buildah("mount", container))
    status = (root / "srv/page").lstat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, 1000, 1001)
    assert (root / "srv/link").readlink() == Path("page")
    assert (root / "srv").stat().st_mode & 0o7777 == 0o750
    assert not (root / "srv/old").exists()
    buildah("rm", container)


def test_what_buildah_pushed_is_pulled_and_built_on(
    address: str, buildah: Buildah, fresh: Builder, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("from buildah")
    (tmp_path / "file").chmod(0o600)
    container = buildah("from", "scratch")
    buildah("copy", "--chown", "5:6", container, tmp_path / "file", "/data/file")
    buildah(
        "config", "--env", "A=1", "--workingdir", "/data", "--label", "origin=buildah", "--cmd", "/data/file", container
    )
    name = f"{address}/team/theirs:{unique()}"
    buildah("commit", container, name)
    buildah("push", "--tls-verify=false", name)
    state = image(name).write("more", "on top")
    fresh(state, output=to_tar(tmp_path / "out.tar"))
    with tarfile.open(tmp_path / "out.tar") as archive:
        member = archive.getmember("data/file")
        assert (member.mode, member.uid, member.gid) == (0o600, 5, 6)
        texts = {name: archive.extractfile(f"data/{name}") for name in ("file", "more")}
        assert {name: file and file.read() for name, file in texts.items()} == {
            "file": b"from buildah",
            "more": b"on top",
        }
    made = fresh.image(state).config["config"]
    assert made["Env"][0] == "A=1"  # and a PATH, which every image of a build has
    assert (made["WorkingDir"], made["Cmd"]) == ("/data", ["/data/file"])
    assert made["Labels"]["origin"] == "buildah"


def test_an_image_goes_there_and_back(address: str, buildah: Buildah, fresh: Builder, tmp_path: Path) -> None:
    first, second = (f"{address}/team/{part}:{unique()}" for part in ("there", "back"))
    state = app()
    pushed = fresh(state, output=to_registry(first))
    buildah("pull", "--tls-verify=false", f"docker://{first}")
    buildah("tag", first, second)
    buildah("push", "--tls-verify=false", second)
    other = Builder(tmp_path / "other", tmp_path)
    tree = other.tree(image(second))
    assert (tree / "srv/page").read_text() == (fresh.tree(state) / "srv/page").read_text()
    assert pushed.metadata["containerimage.config.digest"]
