"""A second build does nothing that the first has done; a changed file runs exactly the steps that use it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pybuild import State, bind, local, scratch
from tests.embedded.command import command, environment
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine

BUILDFILE = """
import os
from pybuild import State, bind, local, oci_layout, scratch, target

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")

@target(default=True)
def app() -> State:
    copied = base.copy("src", "/src").run("cat /src/a > /a")
    mounted = base.run("cat /c/src/b > /b").mount(bind(local("."), "/c"))
    return scratch().copy(copied.path("/a"), "/").copy(mounted.path("/b"), "/").copy("src/only", "/only")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "src").mkdir(parents=True)
    (directory / "Buildfile.py").write_text(BUILDFILE)
    for name in ("a", "b", "only"):
        (directory / "src" / name).write_text(unique())
    return directory


def test_a_second_build_starts_nothing_and_opens_no_file_of_the_context(
    base_layout: Path, warm_root: Path, project: Path, tmp_path: Path
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    env = environment({"PYBUILD_BASE": str(base_layout)})
    line = command(warm_root, "build", "--progress", "plain", "-o", f"type=oci,dest={tmp_path / 'image.tar'}")
    # Right after the files were written: that they are new must not make the next build read them again.
    first = subprocess.run(line, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    trace = tmp_path / "trace"
    calls = "trace=open,openat,openat2,execve,clone,clone3,fork,vfork,mount,unshare,setns"
    second = subprocess.run(
        [strace, "-f", "-y", "-o", str(trace), "-e", calls, *line],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in second.stderr:
        pytest.skip(f"strace may not trace here: {second.stderr.strip()}")
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    states = re.findall(r"^#\d+ (CACHED|DONE)", second.stderr, re.MULTILINE)
    assert states == ["CACHED"] * 6 + ["DONE"], second.stderr  # the last one is the export
    traced = trace.read_text().splitlines()
    opened = [text for text in traced if "open" in text and str(project / "src") in text and "O_DIRECTORY" not in text]
    assert opened == []
    started = [
        text for text in traced if re.match(r"\d+ +(execve|clone|clone3|fork|vfork|mount|unshare|setns)\(", text)
    ]
    assert len([text for text in started if "execve(" in text]) == 1, started
    assert not [text for text in started if not re.search(r"execve\(|CLONE_THREAD", text)], started


def test_nothing_is_read_again_whatever_the_times_of_files(build: Builder, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for name, seconds in (("past", 1), ("future", 4_000_000_000)):
        (context / name).write_text(unique())
        os.utime(context / name, (seconds, seconds))
    state = scratch().copy(local(context), "/x")
    build(state)
    for path in context.iterdir():
        os.utime(path, ns=(1, path.stat().st_mtime_ns))  # an access time before all others: reading would change it
    time.sleep(0.2)  # what was changed a moment ago is not trusted
    build(state)  # reads once more, because the ctime is another
    marks = {path: path.stat().st_atime_ns for path in context.iterdir()}
    build(state)
    assert build.ran == []
    assert {path: path.stat().st_atime_ns for path in context.iterdir()} == marks


def test_touching_runs_nothing_and_one_byte_runs_exactly_what_uses_it(
    base: State, build: Builder, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for name in ("one", "two"):
        (context / name).write_text(unique())
    files = local(context)
    token = unique()
    copied = base.copy(files.path("one"), "/one").run(f"cat /one > /made # {token}")
    mounted = base.run(f"cat /m > /made # {token}").mount(bind(files.path("two"), "/m"))
    result = scratch().copy(copied.path("/made"), "/a").copy(mounted.path("/made"), "/b")
    build(result)
    for path in (context, *context.iterdir()):
        os.utime(path, (7, 7))
    build(result)
    assert build.ran == []
    data = bytearray((context / "two").read_bytes())
    data[0] ^= 1
    (context / "two").write_bytes(data)
    build(result)
    steps = [name for name in build.ran if not name.startswith("local://")]
    assert steps == [f"cat /m > /made # {token}", "copy /made /b"]
    (context / "one").write_text(unique())
    build(result)
    steps = [name for name in build.ran if not name.startswith("local://")]
    assert steps == ["copy /one /one", f"cat /one > /made # {token}", "copy /made /a", "copy /made /b"]
