"""The measurements run end to end, and notice when builders made different things. Nothing here asserts a time."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench.imagefiles import File, differences, files_of

ROOT = Path(__file__).resolve().parents[1]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.engine
@pytest.mark.docker
def test_a_scenario_runs_side_by_side_with_docker(base_layout: Path) -> None:
    with TemporaryDirectory() as work:  # the daemon has sockets there, whose paths must be short
        done = bench("n1", "--peers", "docker", "--rounds", "2", "--format", "json", "--work", work)
        assert list(Path(work).iterdir()) == []
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads(done.stdout)
    scenario = document["scenarios"]["N1"]
    assert {name: (found["problem"], len(found["runs"])) for name, found in scenario["builders"].items()} == {
        "pybuild": ("", 2),
        "docker": ("", 2),
    }
    assert scenario["pybuild/docker"]["seconds"]["median"] > 0


def test_names_of_scenarios_and_peers_are_checked() -> None:
    assert "there is no scenario N9; there are N1, " in bench("n9").stderr
    assert "there is no peer kaniko; there are buildctl, " in bench("n1", "--peers", "kaniko").stderr


def archive(path: Path, *layers: dict[str, str]) -> Path:
    """An OCI archive with one image; a layer's files map to their content."""

    def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))

    with tarfile.open(path, "w") as outer:
        descriptors = []
        for number, files in enumerate(layers):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w:gz") as layer:
                for name, text in files.items():
                    add(layer, name, text.encode())
            add(outer, f"blobs/sha256/{number}", stream.getvalue())
            descriptors.append({"digest": f"sha256:{number}"})
        add(outer, "blobs/sha256/manifest", json.dumps({"layers": descriptors}).encode())
        add(outer, "index.json", json.dumps({"manifests": [{"digest": "sha256:manifest"}]}).encode())
    return path


def test_the_files_of_an_archive_are_those_of_all_layers(tmp_path: Path) -> None:
    below = {"a": "1", "d/gone": "", "d/e/f": "", "opaque/old": ""}
    above = {"a": "2", "d/.wh.gone": "", "d/.wh.e": "", "opaque/.wh..wh..opq": "", "opaque/new": "", "etc/hosts": ""}
    assert sorted(files_of(archive(tmp_path / "two", below, above))) == ["/a", "/opaque/new"]
    assert (
        files_of(archive(tmp_path / "two", below, above))["/a"] == files_of(archive(tmp_path / "one", {"a": "2"}))["/a"]
    )


def test_differences_name_what_is_other() -> None:
    same, other = File(0o100644, (0, 0), "x"), File(0o100755, (0, 0), "x")
    found = differences({"/a": same, "/b": same, "/c": same}, {"/b": other, "/c": same, "/d": same})
    assert [line.partition(": ")[0] for line in found] == ["/a", "/d", "/b"]
