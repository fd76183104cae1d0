"""Bad input: one clear error each, the documented exit code, and nothing half-written."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.embedded.command import command, environment, pybuild
from tests.embedded.killing import assert_consistent

pytestmark = pytest.mark.engine

HEAD = """
import os
from pybuild import State, bind, image, local, oci_layout, scratch, target
base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")
"""


@attrs.frozen(kw_only=True)
class Case:
    """A Buildfile's targets, the arguments, the exit code, and what the one error must say."""

    body: str
    code: int
    says: tuple[str, ...]
    arguments: tuple[str, ...] = ()


CASES = {
    "missing file in copy": Case(
        body='@target(default=True)\ndef t() -> State:\n    return base.copy("nothing.txt", "/")\n',
        code=1,
        says=("nothing.txt", "not found", "Buildfile.py:8"),
    ),
    "a working directory below a file": Case(
        body='@target(default=True)\ndef t() -> State:\n    return base.run("pwd", workdir="/etc/issue/x")\n',
        code=1,
        says=('working directory "/etc/issue/x": "/etc/issue" is not a directory', "Buildfile.py:8"),
    ),
    "a working directory that is a file": Case(
        body='@target(default=True)\ndef t() -> State:\n    return base.run("pwd", workdir="/etc/issue")\n',
        code=1,
        says=('working directory "/etc/issue": "/etc/issue" is not a directory', "Buildfile.py:8"),
    ),
    "unknown target": Case(
        body="@target(default=True)\ndef app() -> State:\n    return scratch()\n",
        code=3,
        says=('no target "ap"', "app"),
        arguments=("ap",),
    ),
    "cycle between targets": Case(
        body="@target(default=True)\ndef one() -> State:\n    return two()\n\n"
        "@target\ndef two() -> State:\n    return one()\n",
        code=3,
        says=("depends on itself", "one", "two"),
    ),
    "wrong type": Case(
        body="@target(default=True)\ndef t() -> State:\n    return base.run(12)\n",
        code=3,
        says=("command", "int", "Buildfile.py:8"),
    ),
    "two mounts on one path": Case(
        body="@target(default=True)\ndef t() -> State:\n"
        '    return base.run("true").mount(bind(scratch(), "/m")).mount(bind(base, "/m"))\n',
        code=3,
        says=("/m", "Buildfile.py:8"),
    ),
    "base image that does not exist": Case(
        body="@target(default=True)\ndef t() -> State:\n"
        '    return oci_layout(os.environ["PYBUILD_BASE"], "no:such").run("true")\n',
        code=1,
        says=("no:such", "debian:bookworm", "Buildfile.py:8"),
    ),
    "layout that does not exist": Case(
        body="@target(default=True)\ndef t() -> State:\n"
        '    return oci_layout("no-such-directory", "a:b").run("true")\n',
        code=1,
        says=("no-such-directory", "Buildfile.py:8"),
    ),
    "image without a shell": Case(
        body='@target(default=True)\ndef t() -> State:\n    return scratch().write("/x", "x").run("echo hello")\n',
        code=1,
        says=("could not be started", "no shell", "/bin/sh", "Buildfile.py:8"),
    ),
    "program that is not there": Case(
        body='@target(default=True)\ndef t() -> State:\n    return base.run(["/no/program"])\n',
        code=1,
        says=("could not be started", 'there is no "/no/program" in the image', "Buildfile.py:8"),
    ),
    "program without its interpreter": Case(
        body="@target(default=True)\ndef t() -> State:\n"
        '    return scratch().write("/x", "#!/bin/sh\\n", mode=0o755).run(["/x"])\n',
        code=1,
        says=("could not be started", '"/x" is there', "Buildfile.py:8"),
    ),
    "missing local directory": Case(
        body='@target(default=True)\ndef t() -> State:\n    return scratch().copy(local("nowhere"), "/")\n',
        code=1,
        says=("nowhere", "Buildfile.py:8"),
    ),
    "syntax error": Case(body="def t(:\n", code=3, says=("Buildfile.py:6",)),
    "bad output": Case(
        body="@target(default=True)\ndef t() -> State:\n    return scratch().mkdir('/a')\n",
        code=2,
        says=("no-such-type",),
        arguments=("-o", "type=no-such-type,dest=x"),
    ),
    "secret that is not given": Case(
        body="from pybuild import secret\n@target(default=True)\ndef t() -> State:\n"
        '    return base.run("true").mount(secret("k"))\n',
        code=1,
        says=("secret k: not found",),
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.mark.parametrize("name", CASES)
def test_one_clear_error(name: str, base_layout: Path, warm_root: Path, project: Path) -> None:
    case = CASES[name]
    (project / "Buildfile.py").write_text(HEAD + "\n" + case.body)
    before = sorted(project.rglob("*"))
    output = () if "-o" in case.arguments else ("-o", "type=oci,dest=image.tar")
    env = {"PYBUILD_BASE": str(base_layout)}
    done = pybuild(warm_root, "build", "--progress", "quiet", *output, *case.arguments, cwd=project, env=env)
    assert done.returncode == case.code, done.stderr
    assert done.stderr.count("error[") == 1, done.stderr
    assert "Traceback" not in done.stderr
    for text in case.says:
        assert text in done.stderr, done.stderr
    after = sorted(path for path in project.rglob("*") if "__pycache__" not in path.parts)
    assert after == before


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users can reach."""
    place = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    place.chmod(0o777)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("locked", ["locked", "directory", ".dockerignore"])
def test_unreadable_context(open_directory: Path, locked: str) -> None:
    # Root reads everything, so the build runs as nobody, on files alone.
    project = open_directory / "project"
    project.mkdir()
    (project / "Buildfile.py").write_text(
        "from pybuild import State, scratch, target\n"
        '@target(default=True)\ndef t() -> State:\n    return scratch().copy(".", "/")\n'
    )
    if locked == "directory":
        (project / locked).mkdir()
        (project / locked / "file").write_text("x")
    else:
        (project / locked).write_text("x")
    (project / locked).chmod(0)
    project.chmod(0o777)
    user = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    done = subprocess.run(
        [*user, *command(open_directory / "store", "build", "--progress", "quiet", "-o", "out")],
        cwd=project,
        env=environment({"HOME": str(open_directory)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error[") == 1, done.stderr
    assert locked in done.stderr
    assert "ermission denied" in done.stderr
    assert not (project / "out").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_full_disk(small_disk: Path, project: Path) -> None:
    (project / "Buildfile.py").write_text(
        "from pybuild import State, scratch, target\n"
        '@target(default=True)\ndef t() -> State:\n    return scratch().copy("big", "/")\n'
    )
    (project / "big").write_bytes(os.urandom(40 << 20))
    done = pybuild(small_disk / "store", "build", "--progress", "quiet", "-o", "type=oci,dest=image.tar", cwd=project)
    assert done.returncode not in (0, 70), done.stderr
    assert done.stderr.count("error[") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "full" in done.stderr
    assert not (project / "image.tar").exists()
    (project / "big").write_bytes(b"small now")
    again = pybuild(small_disk / "store", "build", "--progress", "quiet", "-o", "type=oci,dest=image.tar", cwd=project)
    assert again.returncode == 0, again.stderr
    assert (project / "image.tar").exists()


@pytest.mark.parametrize("size", ["16k", "64k", "200k", "8m", "100m"])
def test_full_disk_while_the_store_is_made_or_the_base_unpacked(
    small_disk: Path, project: Path, base_layout: Path, size: str
) -> None:
    (project / "Buildfile.py").write_text(
        HEAD + '@target(default=True)\ndef t() -> State:\n    return base.run("dd if=/dev/zero of=/x bs=1M count=9")\n'
    )
    env = {"PYBUILD_BASE": str(base_layout)}
    line = ("build", "--progress", "quiet", "-o", "type=oci,dest=image.tar")
    subprocess.run(["mount", "-o", f"remount,size={size}", small_disk], check=True)
    done = pybuild(small_disk / "store", *line, cwd=project, env=env)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error[store-full]") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "image.tar").exists()
    subprocess.run(["mount", "-o", "remount,size=600m", small_disk], check=True)
    again = pybuild(small_disk / "store", *line, cwd=project, env=env)
    assert again.returncode == 0, again.stderr
    assert_consistent(small_disk / "store")


def test_full_disk_at_the_output(small_disk: Path, project: Path, tmp_path: Path) -> None:
    (project / "Buildfile.py").write_text(
        "from pybuild import State, scratch, target\n"
        '@target(default=True)\ndef t() -> State:\n    return scratch().copy("big", "/")\n'
    )
    (project / "big").write_bytes(os.urandom(40 << 20))
    target = small_disk / "image.tar"
    done = pybuild(tmp_path / "store", "build", "--progress", "quiet", "-o", f"type=oci,dest={target}", cwd=project)
    assert done.returncode not in (0, 70), done.stderr
    assert done.stderr.count("error[") == 1, done.stderr
    assert list(small_disk.iterdir()) == []
