"""One build on two daemons: each builds for its platforms, and one index, archive or directory comes out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from pybuild import State, build, image, oci_layout, scratch, to_dir, to_oci, to_registry, to_tar
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.engine.buildkit import SeveralNodes, connect
from pybuild.errors import FileActionError, PybuildError, SolveError
from pybuild.llb.vertex import Graph
from pybuild.platform import parse_platform
from pybuild.protocols import OutputSpec, Variant
from tests.buildkit.conftest import DOCKERD, ROOT
from tests.buildkit.test_engine import Log
from tests.buildkit.test_faults import SOON, Began, sleeping
from tests.embedded.conftest import unique
from tests.embedded.registry import registry

pytestmark = pytest.mark.docker

PLATFORMS = ["linux/amd64", "linux/arm64"]


@pytest.fixture(scope="module")
def other_host() -> Iterator[str]:
    """The address of a second daemon."""
    state = Path(tempfile.mkdtemp(prefix="dockerd-"))
    started = subprocess.run([DOCKERD, "start", state], stdout=subprocess.PIPE, text=True, check=True)
    yield started.stdout.strip()
    subprocess.run([DOCKERD, "kill", state], check=True)
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def nodes(docker_host: str, other_host: str) -> str:
    """Two daemons as one engine: the first is for this machine's platform, the other is for ARM."""
    return f"docker+{docker_host},docker+{other_host}?platform=linux/arm64"


@pytest.fixture(scope="module")
def base(nodes: str, base_layout: Path) -> State:
    """The Debian base, which the first node has: BuildKit 0.13 cannot go on with half of a layer."""
    made = oci_layout(base_layout, "debian:bookworm")
    build(made.run("true"), engine=nodes.partition(",")[0], progress="quiet")
    return made


def app(marker: str) -> State:
    """An image of one file, with what tars and indexes must not lose."""
    files = scratch().mkdir("/d", mode=0o750).write("/d/.hidden", marker, mode=0o640, owner="7:8")
    return files.symlink(".hidden", "/d/link").named(marker).label(made=marker).cmd("/d/link")


def steps_at(host: str) -> str:
    """What a daemon keeps of its builds."""
    with connect(f"docker+{host}") as client:
        return "\n".join(record.description for record in client.disk_usage())


def test_each_node_builds_for_its_platforms(nodes: str, docker_host: str, other_host: str, tmp_path: Path) -> None:
    marker = unique()
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import scratch, target\n"
        "@target(default=True, platforms=['linux/amd64', 'linux/arm64'])\n"
        f"def app(TARGETARCH=''):\n    return scratch().write('/f', '{marker}').named('{marker}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pybuild", "build", "--engine", nodes, "-o", "out", "--progress", "plain"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").glob("*/*")) == [
        "linux_amd64/f",
        "linux_arm64/f",
    ]
    assert marker in steps_at(docker_host)
    assert marker in steps_at(other_host)
    only_arm = unique()
    build(app(only_arm), engine=nodes, platforms=["linux/arm64"], progress="quiet")
    assert only_arm in steps_at(other_host)
    assert only_arm not in steps_at(docker_host)


def platforms_of(index: dict[str, Any]) -> list[str]:
    return [f"{entry['platform']['os']}/{entry['platform']['architecture']}" for entry in index["manifests"]]


def test_an_index_in_a_registry(nodes: str, tmp_path: Path) -> None:
    marker = unique()
    with registry(tmp_path / "registry") as hub:
        names = f"{hub}/team/app:1", f"{hub}/team/app:latest", f"{hub}/other:1"
        result = build(app(marker), to_registry(*names), engine=nodes, platforms=PLATFORMS, progress="quiet")
        for name in names:
            raw = subprocess.run(
                ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"],
                capture_output=True,
                check=True,
            ).stdout
            assert platforms_of(json.loads(raw)) == PLATFORMS
        digest = json.loads(
            subprocess.run(
                ["skopeo", "inspect", "--tls-verify=false", f"docker://{names[0]}"], capture_output=True, check=True
            ).stdout
        )["Digest"]
        assert result.metadata["containerimage.digest"] == digest
        for platform in PLATFORMS:
            copied = scratch().copy(image(names[0], platform=platform).path("/d"), "/")
            build(copied, to_dir(tmp_path / platform.replace("/", "-")), engine=nodes, progress="quiet")
            assert (tmp_path / platform.replace("/", "-") / ".hidden").read_text() == marker


@pytest.mark.parametrize("archive", [True, False])
def test_an_archive_with_an_index(nodes: str, tmp_path: Path, archive: bool) -> None:
    marker = unique()
    dest = str(tmp_path / "image")
    output = to_oci(dest) if archive else OutputSpec(type="oci", dest=dest, attrs=(("tar", "false"),))
    build(app(marker), output, engine=nodes, platforms=PLATFORMS, progress="quiet")
    if archive:
        (tmp_path / "layout").mkdir()
        subprocess.run(["tar", "-xf", dest, "-C", tmp_path / "layout"], check=True)
        dest = str(tmp_path / "layout")
    for platform in PLATFORMS:
        architecture = platform.partition("/")[2]
        inspected = subprocess.run(
            ["skopeo", "inspect", "--override-arch", architecture, "--config", f"oci:{dest}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert inspected.returncode == 0, inspected.stderr
        config = json.loads(inspected.stdout)
        assert (config["architecture"], config["config"]["Labels"]) == (architecture, {"made": marker})
        digest = json.loads((Path(dest) / "index.json").read_bytes())["manifests"][0]["digest"]
    assert platforms_of(json.loads((Path(dest) / "blobs" / digest.replace(":", "/")).read_bytes())) == PLATFORMS


def test_tar_and_files(nodes: str, tmp_path: Path) -> None:
    marker = unique()
    outputs = [to_tar(tmp_path / "out.tar"), to_dir(tmp_path / "out")]
    build(app(marker), outputs, engine=nodes, platforms=PLATFORMS, progress="quiet")
    with tarfile.open(tmp_path / "out.tar") as found:
        for name in ("linux_amd64", "linux_arm64"):
            hidden = found.getmember(f"{name}/d/.hidden")
            assert (hidden.mode, hidden.uid, hidden.gid, hidden.size) == (0o640, 7, 8, len(marker))
            assert found.getmember(f"{name}/d/link").linkname == ".hidden"
            assert (tmp_path / "out" / name / "d/link").read_text() == marker


def test_docker_archives_hold_one_image(nodes: str, tmp_path: Path) -> None:
    with pytest.raises(PybuildError, match="type=docker holds one image"):
        build(
            app(unique()),
            OutputSpec(type="docker", dest=str(tmp_path / "x")),
            engine=nodes,
            platforms=PLATFORMS,
            progress="quiet",
        )
    assert not (tmp_path / "x").exists()


def test_when_one_node_fails_the_build_fails_and_the_other_stops(nodes: str, base: State) -> None:
    marker = unique()
    slow, broken = request_for(base.run(f"sleep 300 # {marker}")), request_for(scratch().remove("/never"))
    arm = Variant(platform=parse_platform("linux/arm64"), patch=broken.patch)
    both = attrs.evolve(slow, graph=Graph([slow.graph.heads[0], broken.graph.heads[0]]), further=(arm,))
    engine = SeveralNodes(nodes.split(","))
    with pytest.raises(FileActionError, match="/never"):
        engine.run(both, session_for(), Log())
    end = time.monotonic() + SOON
    while sleeping(marker) and time.monotonic() < end:
        time.sleep(0.1)
    assert not sleeping(marker)
    engine.close()


def test_cancelling_stops_all_nodes(nodes: str, base: State) -> None:
    marker = unique()
    slow = request_for(base.run(f"sleep 300 # {marker}"))
    arm = Variant(platform=parse_platform("linux/arm64"), patch=slow.patch)
    sink, cancelled = Began("sleep 300"), threading.Event()
    threading.Thread(target=lambda: (sink.event.wait(60), cancelled.set()), daemon=True).start()
    other = scratch().write("/f", marker).head
    both = attrs.evolve(slow, graph=Graph([slow.graph.heads[0], other]), further=(arm,))
    engine = SeveralNodes(nodes.split(","))
    with pytest.raises(SolveError, match="canceled"):
        engine.run(both, session_for(), sink, cancelled)
    engine.close()
