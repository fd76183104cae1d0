"""The same build elsewhere and later gives the same image: other store, time, host name and order of directories."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pybuild import Output, State, local, tmpfs
from tests.embedded.command import environment
from tests.embedded.conftest import Builder
from tests.embedded.images import read_image

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
EPOCH = 1_000_000_000
SCRIPT = """
mkdir -p /app/d && cd /app && for n in 9 1 5 3; do echo $n > d/$n; done
ln d/1 hard && ln -s d/9 link && chown games:games d/5 && touch -d @999999999 d/3 && rm /etc/motd
useradd --system somebody && date > /scratch/now && mkfifo fifo
"""


def definition(base: State, context: Path) -> State:
    return (
        base.run(SCRIPT)
        .mount(tmpfs("/scratch"))
        .copy(local(str(context)), "/src")
        .run("tar -cf /src.tar --sort=name --mtime=@0 --owner=0 --group=0 src && rm -r /src/b")
        .label(k="v")
    )


def context(directory: Path, names: str) -> Path:
    for name in names:
        (directory / name).mkdir(parents=True)
        for inner in names:
            (directory / name / inner).write_text(inner)
    return directory


@pytest.fixture
def epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))


ATTRIBUTES: list[dict[str, str]] = [
    {},
    {"compression": "zstd"},
    {"compression": "uncompressed"},
    {"compression": "gzip", "compression-level": "9"},
]


@pytest.mark.usefixtures("epoch")
def test_two_stores_and_two_moments(base: State, build: Builder, fresh: Builder, tmp_path: Path) -> None:
    def digests(builder: Builder, directory: Path) -> list[str]:
        builder(definition(base, directory))
        outputs = [
            Output(type="oci", dest=str(directory / f"{n}.tar"), attrs={**form, "rewrite-timestamp": "true"})
            for n, form in enumerate(ATTRIBUTES)
        ]
        result = builder(definition(base, directory), output=outputs)
        return [str(dict(export.metadata)["containerimage.digest"]) for export in result.exports]

    here = digests(build, context(tmp_path / "here", "abc"))
    time.sleep(1.1)  # tar keeps whole seconds
    assert here == digests(fresh, context(tmp_path / "elsewhere", "cba"))
    assert len(set(here)) == len(ATTRIBUTES)


OTHER_HOST = """
import os, sys
from pathlib import Path
from pybuild import Output, build, oci_layout
from tests.embedded.test_reproducible import context, definition
base, directory, out = sys.argv[1:]
built = definition(oci_layout(base, "debian:bookworm"), context(Path(directory), "bac"))
os.umask(0o077)
result = build(built, output=Output(type="oci", dest=out, attrs={"rewrite-timestamp": "true"}))
print(result.digest)
"""


@pytest.mark.usefixtures("epoch")
def test_another_host(base: State, base_layout: Path, build: Builder, tmp_path: Path) -> None:
    attrs = {"rewrite-timestamp": "true"}
    here = build(
        definition(base, context(tmp_path / "here", "abc")),
        output=Output(type="oci", dest=str(tmp_path / "here.tar"), attrs=attrs),
    )
    arguments = [str(base_layout), str(tmp_path / "there"), str(tmp_path / "there.tar")]
    changes = {"SOURCE_DATE_EPOCH": str(EPOCH), "TZ": "Asia/Tokyo", "PYBUILD_ROOT": str(tmp_path / "root")}
    inside = 'hostname somewhere-else && exec "$@"'
    done = subprocess.run(
        ["unshare", "--uts", "sh", "-c", inside, "sh", sys.executable, "-c", OTHER_HOST, *arguments],
        env={**environment(changes), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == dict(here.exports[0].metadata)["containerimage.digest"]


@pytest.mark.usefixtures("epoch")
def test_the_base_keeps_its_layers_and_early_times_stay(base: State, build: Builder, tmp_path: Path) -> None:
    plain = build.image(base)
    target = tmp_path / "image.tar"
    build(
        definition(base, context(tmp_path / "here", "abc")),
        output=Output(type="oci", dest=str(target), attrs={"rewrite-timestamp": "true"}),
    )
    image = read_image(target)
    count = len(plain.layers)
    assert image.config["rootfs"]["diff_ids"][:count] == plain.config["rootfs"]["diff_ids"]
    assert image.config["history"][:count] == plain.config["history"]
    own = [member for layer in image.layers[count:] for member in layer.values()]
    assert max(member.info.mtime for member in own) == EPOCH
    assert image.layers[count]["app/d/3"].info.mtime == EPOCH - 1
    assert image.config["created"] == "2001-09-09T01:46:40Z"
    assert {entry["created"] for entry in image.config["history"][count:]} == {"2001-09-09T01:46:40Z"}


def test_without_rewriting_the_times_of_files_stay(
    base: State, build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
    image = build.image(base.run("echo now > /now && touch -d @2000000000 /later"))
    assert image.top["later"].info.mtime == 2_000_000_000
    assert image.config["created"] == "2001-09-09T01:46:40Z"


def test_converted_layers_of_the_base_keep_their_identity(base: State, build: Builder, tmp_path: Path) -> None:
    attrs = {"compression": "zstd", "force-compression": "true", "rewrite-timestamp": "true"}
    build(base, output=Output(type="oci", dest=str(tmp_path / "image.tar"), attrs=attrs))
    inspect = ["skopeo", "inspect", "--config", f"oci-archive:{tmp_path / 'image.tar'}"]
    converted = json.loads(subprocess.run(inspect, capture_output=True, check=True).stdout)
    assert converted["rootfs"]["diff_ids"] == build.image(base).config["rootfs"]["diff_ids"]
