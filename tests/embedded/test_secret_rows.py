"""Acceptance rows X1 to X8: where a secret's bytes may be, and where they never are."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from pybuild import State, secret, to_oci
from pybuild.errors import SecretNotFound, SolveError
from tests.embedded.conftest import Builder, mounts_below, unique
from tests.embedded.images import extract_all

pytestmark = pytest.mark.engine


def holds(directory: Path, needle: bytes) -> list[Path]:
    """Files below `directory` that contain `needle`."""
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink() and needle in path.read_bytes()
    ]


def test_x1_value_is_nowhere_afterwards(base: State, fresh: Builder, tmp_path: Path) -> None:
    value = f"value-{unique()}"
    source = tmp_path / "value.txt"
    source.write_text(value)
    archive = tmp_path / "image.tar"
    state = base.run(f'test "$(cat /run/secrets/key)" = "$(printf %s {value[:6]}{value[6:]})" || exit 3; echo ok > /ok')
    # The comparison needs the value in the command; a second step shows that the mount alone leaves no trace.
    del state
    step = base.run("sha256sum /run/secrets/key | cut -c1-8 > /sum").mount(secret("key"))
    fresh(step, secrets={"key": source}, output=to_oci(archive))
    assert holds(fresh.root, value.encode()) == []
    with tarfile.open(archive) as tar:
        extract_all(tar, tmp_path / "unpacked")
    for layer in (tmp_path / "unpacked" / "blobs" / "sha256").iterdir():
        try:
            with tarfile.open(layer) as tar:
                assert not any(member.name.startswith("run/secrets") for member in tar)
        except tarfile.ReadError:
            assert value.encode() not in layer.read_bytes()
    assert value not in fresh.log


def test_x2_secret_as_variable(base: State, build: Builder) -> None:
    step = base.run(f'test "$TOKEN" = abc && test ! -e /run/secrets/token # {unique()}').mount(
        secret("token", env="TOKEN")
    )
    result = build(step.run('test -z "$TOKEN"'), secrets={"token": "abc"})
    assert not any("TOKEN" in item for item in result.config.config.env)


def test_x3_file_and_variable(base: State, build: Builder) -> None:
    step = base.run(f'test "$TOKEN" = "$(cat /t)" # {unique()}').mount(secret("token", "/t", env="TOKEN"))
    build(step, secrets={"token": "abc"})


def test_x4_changed_value_is_cached_changed_owner_runs(base: State, build: Builder) -> None:
    command = f"test -e /s # {unique()}"
    build(base.run(command).mount(secret("s", "/s")), secrets={"s": "1"})
    build(base.run(command).mount(secret("s", "/s")), secrets={"s": "2"})
    assert build.ran == []
    build(base.run(command).mount(secret("s", "/s", uid=5)), secrets={"s": "2"})
    assert build.ran == [command]


def test_x5_required_and_absent(base: State, build: Builder) -> None:
    with pytest.raises(SecretNotFound, match="secret mysecret: not found"):
        build(base.run(f"echo started # {unique()}").mount(secret("mysecret")))
    assert build.log == ""


def test_x6_too_large(base: State, build: Builder, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 512001)
    with pytest.raises(SolveError, match=r"big1.*too big"):
        build(base.run(f"true # {unique()}").mount(secret("big1")), secrets={"big1": big})


def test_x7_drawing_and_repr_show_the_id_only(base: State) -> None:
    state = base.run("true").mount(secret("visible-id"))
    shown = repr(state) + state.explain() + str(state.visualize(format="dot"))
    assert "visible-id" in state.explain() + repr(state.head)
    assert "secret-value" not in shown


def test_x8_killed_build_leaves_no_secret(base_layout: Path, tmp_path: Path) -> None:
    value = f"value-{unique()}"
    root = tmp_path / "store"
    script = (
        "import sys; from pybuild import oci_layout, secret, embedded\n"
        "from pybuild._api import session_for\n"
        "from pybuild._request import request_for\n"
        "state = oci_layout(sys.argv[1], 'debian:bookworm').run('touch /c/up; sleep 100').mount(secret('k'), "
        "__import__('pybuild').cache('/c'))\n"
        "class Sink:\n    def emit(self, event): pass\n"
        "embedded(sys.argv[2]).run(request_for(state), session_for({'k': sys.argv[3]}), Sink())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(base_layout), str(root), value])
    deadline = time.monotonic() + 60
    while not list(root.glob("cache-mounts/*/*/tree/up")):
        assert time.monotonic() < deadline, "the step never started"
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert holds(root, value.encode()) == []
    assert mounts_below(root) == []
