"""kill -9 of the client, the waiter, the worker or init: no process, mount or container is left, whoever it was."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from pybuild.llb.meta import HostIP
from pybuild.protocols import ProcessSpec
from pybuild.runtime import cgroups
from pybuild.runtime.workerdir import sweep
from tests.conformance.executor import ENV
from tests.embedded.harness import REPOSITORY, Harness, Output, command, in_worker, make_small_root

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_small_root(tmp_path_factory.mktemp("root") / "root")


async def sleep_long(harness: Harness) -> None:
    """Announce the worker, then run a step that does not end by itself."""
    (harness.base / "up").write_text(Path("/proc/self/root").resolve().name or "up")
    process = ProcessSpec(
        args=("/bin/sh", "-c", f"echo {harness.base}; sleep 1000 & sleep 1000"),
        env=(*ENV, f"MARK={harness.base}"),
        cwd="/",
        extra_hosts=(HostIP(host="x", ip="10.0.0.1"),),
    )
    output = Output()
    task = harness.start(process, output)
    await task


def processes_of(mark: str) -> list[int]:
    """The processes with `mark` among their arguments or in their environment: client, worker, runtime and step."""
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            text = Path(f"/proc/{entry}/cmdline").read_bytes() + Path(f"/proc/{entry}/environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in text:
            found.append(int(entry))
    return found


def wait_for(condition: object, what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def sleeping(mark: str) -> list[int]:
    return [pid for pid in processes_of(mark) if _arguments(pid).startswith(b"sleep\x00")]


def _arguments(pid: int) -> bytes:
    """The command line of a process; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def relation(base: Path) -> tuple[int, int, int]:
    """The waiter, init and worker, told apart by who is whose parent."""
    ours = [pid for pid in processes_of(str(base)) if b"tests.embedded.harness" in _arguments(pid)]
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in ours}
    waiter = next(pid for pid in ours if parents[pid] not in ours)
    init = next(pid for pid in ours if _inner_pid(pid) == 1)
    worker = next(pid for pid in ours if pid not in (waiter, init))
    return waiter, init, worker


def _inner_pid(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:"))
    numbers = [int(number) for number in line.split()[1:]]
    return numbers[-1] if len(numbers) > 1 else 0


@pytest.mark.parametrize("victim", ["waiter", "init", "worker"])
def test_killing_one_ends_all(victim: str, small_root: Path, tmp_path: Path) -> None:
    mark = str(tmp_path)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command(sleep_long, tmp_path, small_root, rootless=False), cwd=REPOSITORY, stderr=log
        )
    wait_for(lambda: len(sleeping(mark)) == 2, (tmp_path / "log").read_text())
    waiter, init, worker = relation(tmp_path)
    assert waiter == process.pid
    os.kill({"waiter": waiter, "init": init, "worker": worker}[victim], signal.SIGKILL)
    assert process.wait(timeout=10) != 0
    wait_for(lambda: not processes_of(mark), f"left: {processes_of(mark)}")
    assert mark not in Path("/proc/self/mountinfo").read_text()
    # What can be left is an empty directory, its lock file and control groups: the next worker removes them.
    names = [path.stem for path in (tmp_path / "workers").iterdir() if path.suffix == ".lock"]
    assert len(names) == 1
    assert list((tmp_path / "workers" / names[0]).iterdir()) == []
    wait_for(lambda: sweep(tmp_path / "workers") == 1, "the lock of the dead worker")
    assert list((tmp_path / "workers").iterdir()) == []
    assert not [path for path in cgroups.hierarchies() if os.path.exists(f"{path}/{cgroups.PARENT}/{names[0]}")]
    shutil.rmtree(tmp_path / "work")


async def nothing(harness: Harness) -> str:
    (harness.base / "workers" / "seen").touch()
    return harness.executor.name


def test_sweeping_spares_the_living(small_root: Path, tmp_path: Path) -> None:
    in_worker(nothing, tmp_path, small_root)
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["seen"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command(sleep_long, tmp_path, small_root, rootless=False), cwd=REPOSITORY, stderr=log
        )
    wait_for(lambda: len(sleeping(str(tmp_path))) == 2, (tmp_path / "log").read_text())
    assert sweep(tmp_path / "workers") == 0
    process.kill()
    process.wait()
    wait_for(lambda: sweep(tmp_path / "workers") == 1, "the dead worker is not recognized")


def test_control_groups_that_are_still_in_use_are_remembered(tmp_path: Path) -> None:
    name = f"1-{uuid.uuid4().hex[:12]}"
    group = Path(next(iter(cgroups.hierarchies())), cgroups.PARENT, name, "step")
    group.mkdir(parents=True)
    (tmp_path / f"{name}.lock").touch()
    with subprocess.Popen(["sleep", "1000"]) as process:
        (group / "cgroup.procs").write_text(str(process.pid))
        assert sweep(tmp_path) == 0
        assert (tmp_path / f"{name}.lock").exists()
        process.kill()
    wait_for(lambda: sweep(tmp_path) == 1, "the group stays in use")
    assert not group.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_killed_before_it_could_lock_its_file_leaves_none(tmp_path: Path) -> None:
    (tmp_path / "1-abc.new").touch()
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


async def exit_code(harness: Harness) -> None:
    os._exit(23)


async def orphans(harness: Harness) -> list[str]:
    """Leave an orphan that ends: init must reap it, and nobody else's children."""
    for _ in range(3):
        subprocess.run(["sh", "-c", "sleep 0.01 & exit 0"], check=True)
    done = subprocess.Popen(["sh", "-c", "exit 5"])
    time.sleep(0.2)
    assert done.wait() == 5
    states = [
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        for pid in os.listdir("/proc")
        if pid.isdigit()
    ]
    return [state for state in states if state == "Z"]


def test_the_exit_status_is_forwarded_and_orphans_are_reaped(small_root: Path, tmp_path: Path) -> None:
    done = subprocess.run(command(exit_code, tmp_path, small_root, rootless=False), cwd=REPOSITORY, check=False)
    assert done.returncode == 23
    assert in_worker(orphans, tmp_path, small_root) == []
    assert pickle.loads((tmp_path / "result").read_bytes()) == []
