"""Kills builds at random moments and looks at what they leave; used by the quick test and by the soak run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from pybuild.store.store import Store
from tests.embedded.command import command, environment, pybuild
from tests.embedded.conftest import mounts_below

BUILDFILE = """
import os
from pybuild import State, bind, cache, local, oci_layout, scratch, secret, target

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")
token = os.environ["TOKEN"]

def branch(name: str) -> State:
    made = base.run(f"mkdir /out && echo {name} {token} > /out/{name} && sleep 0.1 && cat /src/file >> /out/{name}")
    return made.mount(bind(local("src"), "/src"), cache("/cache"), secret("key", env="KEY"))

@target(default=True)
def result() -> State:
    files = scratch()
    for name in ("a", "b", "c"):
        files = files.copy(branch(name).path("/out"), "/out")
    return files.write("/out/token", token)
"""


def prepare(directory: Path) -> None:
    """A Buildfile with parallel branches, every kind of source, and a secret."""
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "file").write_text("content\n")
    (directory / "key").write_text("secret-of-the-test")
    (directory / "Buildfile.py").write_text(BUILDFILE)


def arguments(output: Path) -> list[str]:
    """What follows `pybuild --root ROOT`."""
    return ["build", "--progress", "plain", "--secret", "id=key,src=key", "-o", f"type=oci,dest={output}"]


def kill_and_check(root: Path, directory: Path, base: Path, *, rounds: int, seed: int) -> None:
    """Builds that are killed after a random time, each followed by one that must succeed and leave nothing."""
    generator = random.Random(seed)
    normal = 1.0
    for number in range(rounds):
        env = {"PYBUILD_BASE": str(base), "TOKEN": f"{seed}-{number}"}
        delay = generator.uniform(0.02, normal)
        _kill_one(root, directory, env, delay)
        _assert_nothing_left(root, f"round {number}, killed after {delay:.3f} s")
        started = time.monotonic()
        output = directory / "image.tar"
        done = pybuild(root, *arguments(output), cwd=directory, env=env)
        assert done.returncode == 0, f"round {number}, killed after {delay:.3f} s: {done.stderr}"
        normal = max(0.3, 0.8 * normal + 0.2 * 1.2 * (time.monotonic() - started))
        assert output.exists()
        assert_consistent(root)


def _kill_one(root: Path, directory: Path, env: dict[str, str], delay: float) -> None:
    process = subprocess.Popen(
        command(root, *arguments(directory / "killed.tar")),
        cwd=directory,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _assert_nothing_left(root: Path, when: str) -> None:
    """No process and no mount of a killed build: the kernel needs a moment to take them down."""
    deadline = time.monotonic() + 10
    while found := [*processes_of(root), *mounts_below(root)]:
        assert time.monotonic() < deadline, f"{when}: left behind {found}"
        time.sleep(0.02)


def processes_of(root: Path) -> list[str]:
    """Command lines of processes that work on a store: workers, runtimes and what they run."""
    needle = os.fsencode(root)
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            mounted = (entry / "mountinfo").read_bytes()
        except OSError:
            continue
        if needle in line or needle in mounted.replace(b"\\040", b" "):
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


def assert_consistent(root: Path) -> None:
    """What the store says is true: rows have directories, blobs have their digests, results have snapshots."""
    store = Store.open(root)
    try:
        assert store.database.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        for info in store.snapshots.walk():
            assert store.snapshots.upper(info.key).is_dir(), info.key
            assert not info.parent or store.snapshots.stat(info.parent)
        for blob in store.content.walk():
            store.content.read(blob.digest)
        for record in store.cache.records():
            assert not record.ref.snapshot or store.snapshots.stat(record.ref.snapshot)
    finally:
        store.close()
