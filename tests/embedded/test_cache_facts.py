"""What keeps a step cached and what makes it run, beyond the acceptance rows: as seen on `docker build`."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import State, bind, cache, local, scratch
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """`a`, and `dir` with `f` and `sub/g`."""
    directory = tmp_path / "context"
    (directory / "dir" / "sub").mkdir(parents=True)
    for name in ("a", "dir/f", "dir/sub/g"):
        (directory / name).write_text(name + unique())
    return directory


def copied(source: str, dest: str = "/x/") -> Callable[[Path], State]:
    return lambda context: scratch().copy(local(context).path(source), dest)


def rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda context: (context / old).rename(context / new)


def write(name: str, text: str = "new") -> Callable[[Path], object]:
    return lambda context: (context / name).write_text(text)


def nothing(_context: Path) -> None:
    """No change."""


CASES: dict[str, tuple[Callable[[Path], State], Callable[[Path], object], Callable[[Path], State], bool]] = {
    "a renamed file, whose name shows": (copied("a"), rename("a", "b"), copied("b"), True),
    "a renamed file, whose name does not show": (copied("a", "/x"), rename("a", "b"), copied("b", "/x"), True),
    "a renamed directory": (copied("dir"), rename("dir", "dir2"), copied("dir2"), False),
    "another spelling of the path": (copied("dir"), nothing, copied("./dir/"), False),
    "a detour in the path": (copied("dir"), nothing, copied("/dir/../dir//"), False),
    "the mode of the copied directory": (copied("dir"), lambda c: (c / "dir").chmod(0o700), copied("dir"), False),
    "the mode of the context": (copied("."), lambda c: c.chmod(0o711), copied("."), False),
    "the mode of a directory below": (copied("dir"), lambda c: (c / "dir/sub").chmod(0o700), copied("dir"), True),
    "the mode of a file": (copied("dir"), lambda c: (c / "dir/f").chmod(0o755), copied("dir"), True),
    "the owner of files": (copied("dir"), lambda c: os.chown(c / "dir/f", 5, 6), copied("dir"), False),
    "times of files": (copied("dir"), lambda c: os.utime(c / "dir/f", (5, 5)), copied("dir"), False),
    "times of directories": (copied("dir"), lambda c: os.utime(c / "dir", (5, 5)), copied("dir"), False),
    "the same bytes once more": (
        copied("dir"), lambda c: write("dir/f", (c / "dir/f").read_text())(c), copied("dir"), False,
    ),
    "an empty directory": (copied("dir"), lambda c: (c / "dir/empty").mkdir(), copied("dir"), True),
    "a file beside the copied directory": (copied("dir"), write("other"), copied("dir"), False),
    "a file that the pattern leaves out": (copied("dir/f*"), write("dir/z"), copied("dir/f*"), False),
    "a file that the pattern takes in": (copied("dir/f*"), write("dir/f2"), copied("dir/f*"), True),
    "a file in its place, of equal bytes": (
        copied("dir/f"),
        lambda c: ((c / "dir/f").rename(c / "dir/h"), os.link(c / "dir/h", c / "dir/f")),
        copied("dir/f"),
        False,
    ),
    "a link instead of a file": (
        copied("dir"),
        lambda c: ((c / "dir/f").rename(c / "a"), (c / "dir/f").symlink_to("../a")),
        copied("dir"),
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_copies_of_a_context(build: Builder, context: Path, name: str) -> None:
    before, change, after, runs = CASES[name]
    build(before(context))
    assert build.ran
    change(context)
    build(after(context))
    assert bool(build.ran) is runs
    build(after(context))
    assert build.ran == []


def test_ignored_and_excluded_files_do_not_count(build: Builder, context: Path) -> None:
    (context / ".dockerignore").write_text("dir/ignored\n**/*.tmp\n!dir/kept.tmp\n")
    state = scratch().copy(local(context), "/x", exclude=["dir/sub"])
    build(state)
    for name in ("dir/ignored", "a.tmp", "dir/sub/g"):
        (context / name).write_text(unique())
    build(state)
    assert build.ran == []
    (context / "dir" / "kept.tmp").write_text(unique())
    build(state)
    assert build.ran


def test_a_tar_with_equal_content_is_another_tar(build: Builder, context: Path) -> None:
    def pack(name: str) -> None:
        with tarfile.open(context / "packed.tar", "w") as archive:
            archive.add(context / "a", arcname=name)
            archive.add(context / "dir" / "f", arcname="f")

    state = scratch().copy(local(context).path("packed.tar"), "/x/", unpack=True)
    pack("a")
    build(state)
    os.utime(context / "a", (7, 7))
    pack("a")
    build(state)
    assert build.ran


Change = Callable[[State, str], State]
COMMANDS: dict[str, tuple[Change, Change, bool]] = {
    "network": (lambda b, t: b.run(t), lambda b, t: b.run(t, network="none"), True),
    "user": (lambda b, t: b.run(t), lambda b, t: b.run(t, user="games"), True),
    "variable": (lambda b, t: b.run(t), lambda b, t: b.run(t, env={"A": "1"}), True),
    "exec form of the same": (lambda b, t: b.run(t), lambda b, t: b.run(["/bin/sh", "-c", t]), False),
    "name": (lambda b, t: b.run(t), lambda b, t: b.run(t, name="other"), False),
    "cache id": (
        lambda b, t: b.run(t).mount(cache("/c", id="one")), lambda b, t: b.run(t).mount(cache("/c", id="two")), False,
    ),
    "cache sharing": (
        lambda b, t: b.run(t).mount(cache("/c")), lambda b, t: b.run(t).mount(cache("/c", sharing="locked")), False,
    ),
    "cache target": (
        lambda b, t: b.run(t).mount(cache("/c")), lambda b, t: b.run(t).mount(cache("/d")), True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_steps(base: State, build: Builder, name: str) -> None:
    before, after, runs = COMMANDS[name]
    command = f"true # {unique()}"
    build(before(base, command))
    build(after(base, command))
    assert bool(build.ran) is runs


def test_an_unused_file_in_a_bound_directory_counts_and_beside_a_bound_file_does_not(
    base: State, build: Builder, context: Path
) -> None:
    directory = base.run("cat /m/f").mount(bind(local(context).path("dir"), "/m"))
    file = base.run("cat /m").mount(bind(local(context).path("dir/f"), "/m"))
    build(directory)
    build(file)
    (context / "dir" / "unused").write_text(unique())
    build(file)
    assert build.ran == []
    build(directory)
    assert "cat /m/f" in build.ran


def test_a_stage_that_ran_again_with_equal_output_keeps_what_is_copied_from_it(base: State, build: Builder) -> None:
    token = unique()
    stage = base.run(f"date +%N > /time; echo {token} > /out").named(token)
    copies = scratch().copy(stage.path("/out"), "/")
    build(copies)
    assert len(build.ran) == 2
    build(copies, no_cache=[token])
    assert build.ran == [token]
    other = base.run(f"echo different; echo {token} > /out")
    build(scratch().copy(other.path("/out"), "/"))
    assert len(build.ran) == 1
