"""Exports as other tools take them: skopeo and umoci read the images, and every form holds the same files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from pybuild import Output, State, scratch, to_dir, to_docker, to_oci, to_tar
from tests.embedded.conftest import Builder
from tests.embedded.images import extract_all, read_image

pytestmark = pytest.mark.engine

SCRIPT = r"""
mkdir -p /o/dir /o/gone/below && cd /o
echo text > file && ln file hard && ln -s file link && ln -s /nowhere dangling && mkfifo fifo && mknod null c 1 3
chmod 4755 file && chown 70000:80000 link -h && touch -d @1000000000 file
n=$(printf 'n%.0s' $(seq 200)) && mkdir $n && echo long > $n/$n && echo x > "sp ace" && echo y > 'ümläut' && touch empty
touch gone/below/x old
"""


def state(base: State) -> State:
    return (
        base.run(SCRIPT)
        .run("cd /o && rm -r gone old && mkdir gone && touch gone/new && mv dir moved")
        .env(A="b").label(k="v").entrypoint("/bin/sh").cmd("-c", "true").expose(80).workdir("/o").user("games")
    )  # fmt: skip


def tool(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """What is in a directory: kind and mode, owner, whole seconds, link target, bytes, number of names."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, _, files in os.walk(root / "o"):
        for path in [Path(directory), *(Path(directory, name) for name in files)]:
            status = path.lstat()
            target = os.readlink(path) if path.is_symlink() else ""
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            seconds = 0 if path.is_symlink() else int(status.st_mtime)  # which tarfile does not set
            links = 1 if path.is_dir() else status.st_nlink
            owner = (status.st_uid, status.st_gid)
            found[str(path.relative_to(root))] = (oct(status.st_mode), owner, seconds, target, content, links)
    return found


def without_owners(found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    return {name: (facts[0], *facts[2:]) for name, facts in found.items()}


def test_every_form_holds_the_same_files(base: State, build: Builder, tmp_path: Path) -> None:
    built = state(base)
    build(built, output=Output(type="oci", dest=str(tmp_path / "image.tar"), attrs={"name": "example/app:1"}))
    build(built, output=to_tar(tmp_path / "files.tar"))
    build(built, output=to_dir(tmp_path / "local"))
    build(built, output=Output(type="oci", dest=str(tmp_path / "layout"), attrs={"tar": "false", "name": "app:2"}))

    facts = json.loads(tool("skopeo", "inspect", f"oci-archive:{tmp_path / 'image.tar'}"))
    assert facts["Labels"] == {"k": "v"}
    assert json.loads(tool("skopeo", "inspect", f"oci:{tmp_path / 'layout'}:2"))["Layers"] == facts["Layers"]
    tool("umoci", "unpack", "--image", f"{tmp_path / 'layout'}:2", tmp_path / "bundle")
    with tarfile.open(tmp_path / "files.tar") as archive:
        extract_all(archive, tmp_path / "files")

    unpacked = listing(tmp_path / "bundle" / "rootfs")
    assert len(unpacked) == 15
    assert unpacked["o/file"] == ("0o104755", (0, 0), 1_000_000_000, "", b"text\n", 2)
    assert unpacked["o/link"][1] == (70000, 80000)
    assert listing(tmp_path / "files") == unpacked
    assert without_owners(listing(tmp_path / "local")) == without_owners(unpacked)
    process = json.loads((tmp_path / "bundle" / "config.json").read_text())["process"]
    assert (process["args"], process["cwd"], "A=b" in process["env"]) == (["/bin/sh", "-c", "true"], "/o", True)


def test_docker_s_form(base: State, build: Builder, tmp_path: Path) -> None:
    build(state(base), output=to_docker(tmp_path / "image.tar", "example/app:1"))
    facts = json.loads(tool("skopeo", "inspect", "--raw", f"docker-archive:{tmp_path / 'image.tar'}"))
    assert facts["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    with tarfile.open(tmp_path / "image.tar") as archive:
        file = archive.extractfile("manifest.json")
        assert file is not None
        [entry] = json.load(file)
        assert entry["RepoTags"] == ["example/app:1"]
        assert {entry["Config"], *entry["Layers"]} <= set(archive.getnames())
    tool("skopeo", "copy", f"docker-archive:{tmp_path / 'image.tar'}", f"oci:{tmp_path / 'converted'}:x")


@pytest.mark.parametrize("compression", ["zstd", "uncompressed", "gzip"])
def test_compressions(build: Builder, tmp_path: Path, compression: str) -> None:
    made = scratch().write("/a", "text").mkdir("/d").remove("/a")
    archive = f"oci-archive:{tmp_path / 'image.tar'}"
    build(made, output=Output(type="oci", dest=str(tmp_path / "image.tar"), attrs={"compression": compression}))
    ending = {"zstd": "tar+zstd", "uncompressed": ".tar", "gzip": "tar+gzip"}[compression]
    raw = json.loads(tool("skopeo", "inspect", "--raw", archive))
    assert [layer["mediaType"].endswith(ending) for layer in raw["layers"]] == [True] * 3
    tool("skopeo", "copy", "--dest-compress-format", "gzip", archive, f"oci:{tmp_path / 'layout'}:x")
    tool("umoci", "unpack", "--image", f"{tmp_path / 'layout'}:x", tmp_path / "bundle")
    assert [path.name for path in (tmp_path / "bundle" / "rootfs").iterdir()] == ["d"]


def test_layers_of_the_base_are_converted_on_demand(base: State, build: Builder, tmp_path: Path) -> None:
    attrs = {"compression": "zstd", "force-compression": "true"}
    build(base, output=Output(type="oci", dest=str(tmp_path / "image.tar"), attrs=attrs))
    raw = json.loads(tool("skopeo", "inspect", "--raw", f"oci-archive:{tmp_path / 'image.tar'}"))
    assert [layer["mediaType"].rpartition(".")[2] for layer in raw["layers"]] == ["tar+zstd"]


def test_equal_results_give_equal_bytes_in_every_store(
    build: Builder, fresh: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    made = scratch().write("/a", "text").symlink("a", "/l").mkdir("/d")
    digests: list[bytes] = []
    for number, builder in enumerate((build, fresh, build)):
        target = tmp_path / f"{number}.tar"
        attrs = {"rewrite-timestamp": "true"}
        builder(made, output=Output(type="oci", dest=str(target), attrs=attrs))
        digests.append(target.read_bytes())
    assert digests[0] == digests[1] == digests[2]
    image = read_image(tmp_path / "0.tar")
    assert {member.info.mtime for layer in image.layers for member in layer.values()} == {1_000_000_000}
    assert image.config["created"] == "2001-09-09T01:46:40Z"


def test_a_failed_export_leaves_nothing(build: Builder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (to_oci(tmp_path / "file" / "image.tar"), to_dir(tmp_path / "file"), to_tar(tmp_path)):
        with pytest.raises(Exception, match=r"cannot write|is not a directory|is a directory"):
            build(scratch().write("/a", "text"), output=output)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_of_the_user_that_are_no_part_of_the_result_stay(build: Builder, tmp_path: Path) -> None:
    target = tmp_path / "out"
    (target / "d").mkdir(parents=True)
    (target / "d" / "mine").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (target / "link").symlink_to("../elsewhere")
    made = scratch().mkdir("/d").write("/d/new", "new").mkdir("/link").write("/link/x", "x")
    build(made, output=to_dir(target))
    assert sorted(path.name for path in (target / "d").iterdir()) == ["mine", "new"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (target / "link" / "x").read_text() == "x"
