"""Full disks, and stores copied in the middle of a build; used by the quick tests and by the soak run."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.embedded.command import command, environment, pybuild
from tests.embedded.killing import assert_consistent, assert_repairable
from tests.embedded.pruning import assert_clean, expected


class Faults:
    """A project of `pruning.prepare`, with a small base.

    Args:
        directory: the project.
        layout: the base's OCI layout.
        ref: which image in it.
    """

    def __init__(self, directory: Path, layout: Path, ref: str) -> None:
        self.directory = directory
        self._env = {"PYBUILD_BASE": str(layout), "PYBUILD_REF": ref, "NUMBER": "0"}

    def build(self, root: Path, token: str) -> subprocess.CompletedProcess[str]:
        """Build into the directory `out` of the project."""
        shutil.rmtree(self.directory / "out", ignore_errors=True)
        return pybuild(root, *self._line("out"), cwd=self.directory, env={**self._env, "TOKEN": token})

    def assert_builds(self, root: Path, token: str, when: str) -> None:
        """The next build is right, and the store is in order."""
        done = self.build(root, token)
        assert done.returncode == 0, f"{when}: {done.stderr}"
        found = {path.name: path.read_text() for path in (self.directory / "out").iterdir()}
        assert found == expected(token, 0), when
        assert_consistent(root)

    def copy_at(self, root: Path, token: str, delay: float, target: Path) -> None:
        """Copy the store some seconds after the beginning of a build, which goes on meanwhile."""
        line = command(root, *self._line("elsewhere"))
        env = environment({**self._env, "TOKEN": token})
        quiet = subprocess.DEVNULL
        with subprocess.Popen(line, cwd=self.directory, env=env, stdin=quiet, stdout=quiet, stderr=quiet) as process:
            time.sleep(delay)
            # What vanishes while it is copied is an error to cp, and to nobody else.
            subprocess.run(["cp", "-a", root, target], stderr=quiet, check=False)
            assert process.wait(timeout=300) == 0

    def _line(self, name: str) -> list[str]:
        return ["build", "--progress", "plain", "-o", f"type=local,dest={self.directory / name}"]


def copy_and_check(faults: Faults, place: Path, *, rounds: int, seed: int) -> int:
    """Copies of a store at random moments of builds, half of them with the end of what was written last missing.

    Returns:
        In how many copies something was lost.
    """
    generator = random.Random(seed)
    root, copied = place / "store", place / "copy"
    normal, lossy = 1.0, 0
    for number in range(rounds):
        if number % 5 == 0:
            shutil.rmtree(root, ignore_errors=True)  # so that unpacking is hit too
        token = f"{seed}-{number}"
        before = time.time()
        delay = generator.uniform(0.0, normal)
        when = f"seed {seed}, round {number}, copied after {delay:.3f} s"
        faults.copy_at(root, token, delay, copied)
        normal = 0.7 * normal + 0.3 * (time.time() - before)
        if not copied.exists():
            continue  # before there was a store
        if number % 2:
            lossy += _lose(copied, before, generator)
        faults.assert_builds(copied, token, when)
        assert_repairable(copied, when)
        faults.assert_builds(copied, token, when)
        faults.assert_builds(root, token, when)
        assert_clean(root)
        shutil.rmtree(copied)
    return lossy


def _lose(root: Path, since: float, generator: random.Random) -> bool:
    """Cut files of snapshots that were written of late short, as file systems leave them that lose power."""
    fresh = [
        path
        for path in root.glob("snapshots/*/fs/**/*")
        if path.is_file() and not path.is_symlink() and path.stat().st_ctime > since and path.stat().st_size
    ]
    for path in generator.sample(fresh, min(len(fresh), 3)):
        os.truncate(path, generator.choice((0, path.stat().st_size // 2)))
    return bool(fresh)


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """A memory file system of `size` bytes with a directory for a store."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield place / "store"
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def fill_and_check(faults: Faults, place: Path, *, points: int) -> None:
    """Builds on disks that are full after a part of what they need, then after a larger one; then with room."""
    with small_disk(place / "disk", 512 << 20) as root:
        faults.assert_builds(root, "measured", "with room")
        status = os.statvfs(root)
        needed = (status.f_blocks - status.f_bfree) * status.f_frsize
    failed = 0
    for number in range(points):
        size = needed * (2 * number + 1) // (2 * points)
        when = f"{size} of {needed} bytes"
        with small_disk(place / "disk", size) as root:
            done = faults.build(root, "token")
            failed += done.returncode != 0
            assert "Traceback" not in done.stderr, f"{when}: {done.stderr}"
            assert done.returncode in (0, 1), f"{when}: {done.stderr}"
            assert "error[internal]" not in done.stderr, f"{when}: {done.stderr}"
            assert (done.returncode == 0) or "no space left" in done.stderr.lower(), f"{when}: {done.stderr}"
            remount = ["mount", "-o", f"remount,size={needed * 3}", place / "disk"]
            subprocess.run(remount, check=True)
            faults.assert_builds(root, "token", when)
            assert_repairable(root, when)
    assert failed > points // 2
