"""Kills builds at random moments and looks at what they leave; used by the quick test and by the soak run."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

from pybuild.protocols import SnapshotKind
from pybuild.runtime.cgroups import PARENT, hierarchies
from pybuild.store.fsck import fsck
from pybuild.store.store import Store
from tests.embedded.command import command, environment, pybuild
from tests.embedded.conftest import mounts_below

#: What a killed process may leave; damage to what was committed is not among it.
LEFTOVERS = {"lease", "lock", "leftover", "directory", "unfinished"}
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
    """Builds of which something is killed after a random time, each followed by one that must succeed.

    Mostly the client, as users do it; sometimes one of the processes behind it, or everything at once. Every tenth
    round starts with an empty store, so that unpacking the base is hit too.
    """
    generator = random.Random(seed)
    normal = 1.0
    for number in range(rounds):
        env = {"PYBUILD_BASE": str(base), "TOKEN": f"{seed}-{number}"}
        fresh = number % 10 == 9
        if fresh:
            shutil.rmtree(root)
        delay = generator.uniform(0.02, normal + 1.0 * fresh)
        victim = generator.choice(("client", "client", "one", "all"))
        when = f"round {number}, {victim} killed after {delay:.3f} s"
        _kill_one(root, directory, env, delay, victim, generator)
        assert_nothing_left(root, when)
        dead = [path.name.removesuffix(".lock") for path in (root / "workers").glob("*.lock")]
        # An interrupted export leaves no file that looks like a whole one.
        assert not (directory / "killed.tar").exists() or tarfile.is_tarfile(directory / "killed.tar"), when
        started = time.monotonic()
        output = directory / "image.tar"
        done = pybuild(root, *arguments(output), cwd=directory, env=env)
        assert done.returncode == 0, f"{when}: {done.stderr}"
        if not fresh:
            normal = max(0.3, 0.8 * normal + 0.2 * 1.2 * (time.monotonic() - started))
        assert output.exists()
        assert_consistent(root)
        assert_repairable(root, when)
        assert not _control_groups(dead), when
        output.unlink()
        (directory / "killed.tar").unlink(missing_ok=True)


def _control_groups(workers: list[str]) -> list[str]:
    """What is left of the control groups of some workers."""
    places = [f"{hierarchy}/{PARENT}/{worker}" for hierarchy in hierarchies() for worker in workers]
    return [place for place in places if os.path.exists(place)]


def _kill_one(
    root: Path, directory: Path, env: dict[str, str], delay: float, victim: str, generator: random.Random
) -> None:
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
        behind = [] if victim == "client" else pids_of(root)
        if victim == "one" and len(behind) > 1:
            behind = [generator.choice([pid for pid in behind if pid != process.pid])]
        for pid in behind or [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(timeout=30)


def assert_nothing_left(root: Path, when: str) -> None:
    """No process and no mount of a killed build: the kernel needs a moment to take them down."""
    deadline = time.monotonic() + 10
    while found := [*processes_of(root), *mounts_below(root), *_members(root)]:
        assert time.monotonic() < deadline, f"{when}: left behind {found}"
        time.sleep(0.02)


def _members(root: Path) -> list[str]:
    """Processes in the control groups of a store's workers: the kernel keeps them there when all else is gone."""
    workers = [path.stem for path in (root / "workers").glob("*.lock")]
    try:
        groups = [group for place in _control_groups(workers) for group in Path(place).rglob("cgroup.procs")]
    except FileNotFoundError as error:  # removed while it was listed: look again
        return [str(error.filename)]
    return [f"{pid} in {group}" for group in groups for pid in _pids(group)]


def _pids(group: Path) -> list[str]:
    """The processes of a control group; none when it was removed meanwhile."""
    try:
        return group.read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    except OSError as error:
        if error.errno != errno.ENODEV:  # what a group says that is being removed
            raise
        return []


def processes_of(root: Path) -> list[str]:
    """Command lines of processes that work on a store: workers, runtimes and what they run."""
    return list(_find_processes(root).values())


def pids_of(root: Path) -> list[int]:
    """Their process ids."""
    return list(_find_processes(root))


def _find_processes(root: Path) -> dict[int, str]:
    needle = os.fsencode(root)
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            mounted = (entry / "mountinfo").read_bytes()
        except OSError:
            continue
        if needle in line or needle in mounted.replace(b"\\040", b" "):
            found[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace")
    return found


def assert_repairable(root: Path, when: str) -> None:
    """What is wrong can be put right, and is right then."""
    store = Store.open(root)
    try:
        found = fsck(store, repair=True)
        assert all(finding.repaired for finding in found), f"{when}: {found}"
        assert not {finding.kind for finding in found} - LEFTOVERS, f"{when}: {found}"
        assert fsck(store) == [], when
    finally:
        store.close()


def assert_consistent(root: Path) -> None:
    """What the store says is true: rows have directories, blobs have their digests, results have snapshots."""
    store = Store.open(root)
    try:
        assert store.database.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        for info in store.snapshots.walk():
            # What a copy has of a snapshot that was being written may be its row alone: garbage, as all of it is.
            assert info.kind is not SnapshotKind.COMMITTED or store.snapshots.upper(info.key).is_dir(), info.key
            assert not info.parent or store.snapshots.stat(info.parent)
        for blob in store.content.walk():
            store.content.read(blob.digest)
        for record in store.cache.records():
            assert not record.ref.snapshot or store.snapshots.stat(record.ref.snapshot)
    finally:
        store.close()
