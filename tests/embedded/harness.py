"""Runs a coroutine function of a test module inside a real worker process, with an executor over a small root.

`in_worker` starts `python -m tests.embedded.harness`, which enters namespaces as the engine's worker does.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pybuild.protocols import BoundMount, ExitStatus, LogStream, MountSpec, ProcessSpec
from pybuild.runtime.executor import OciExecutor
from pybuild.runtime.mount import mounted
from pybuild.runtime.namespaces import enter_worker_namespaces
from pybuild.runtime.network import NetworkPool
from pybuild.runtime.probe import find_runtime
from pybuild.runtime.workerdir import WorkerDir

REPOSITORY = Path(__file__).resolve().parents[2]
_PROGRAMS = ("sh", "cat", "ls", "sleep", "id", "mount", "mkdir", "touch", "grep", "getent", "mknod", "unshare")


def make_small_root(root: Path, *more: str) -> Path:
    """A root file system of a shell and a few programs, with the libraries they need, from this machine."""
    for directory in ("bin", "etc", "proc", "sys", "dev", "tmp", "mnt"):
        (root / directory).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    for name in ("hosts", "resolv.conf"):
        (root / "etc" / name).touch()
    for program in (*_PROGRAMS, *more):
        source = shutil.which(program)
        assert source is not None, f"{program} is not installed"
        shutil.copy(source, root / "bin" / program)
        listed = subprocess.run(["ldd", source], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"/\S+", listed):
            target = root / library.lstrip("/")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, target)
    return root


class Output:
    """Collects what a step prints."""

    def __init__(self) -> None:
        self.streams: dict[LogStream, bytes] = {"stdout": b"", "stderr": b""}
        self.first = asyncio.Event()

    def write(self, stream: LogStream, data: bytes) -> None:
        self.streams[stream] += data
        self.first.set()

    @property
    def text(self) -> str:
        return (self.streams["stdout"] + self.streams["stderr"]).decode()


class Harness:
    """What a function in the worker gets: an executor, its network pool, and an overlay as root."""

    def __init__(self, executor: OciExecutor, pool: NetworkPool, root: Path, base: Path) -> None:
        self.executor = executor
        self.pool = pool
        self.root = root
        self.base = base
        self._count = 0

    async def start(self, process: ProcessSpec, output: Output, mounts: Sequence[BoundMount] = ()) -> ExitStatus:
        self._count += 1
        return await self.executor.run(f"step-{os.getpid()}-{self._count}", self.root, mounts, process, output)

    async def sh(self, script: str, *, mounts: Sequence[BoundMount] = (), **process: object) -> str:
        """Run a script that must succeed; returns what it printed."""
        output = Output()
        spec = ProcessSpec(args=("/bin/sh", "-c", script), env=("PATH=/bin",), cwd="/", **process)  # type: ignore[arg-type]
        status = await self.start(spec, output, mounts)
        assert status.code == 0, output.text
        return output.text.strip()


def command(function: Callable[[Harness], Awaitable[object]], base: Path, root: Path, *, rootless: bool) -> list[str]:
    """How to start `function` in a worker process."""
    place = f"{function.__module__}:{function.__name__}"
    return [sys.executable, "-B", "-m", "tests.embedded.harness", place, str(base), str(root), str(int(rootless))]


def in_worker(function: Callable[[Harness], Awaitable[object]], base: Path, root: Path) -> object:
    """Run `function` in a worker and return what it returns."""
    done = subprocess.run(
        command(function, base, root, rootless=False),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return pickle.loads((base / "result").read_bytes())


async def _serve(function: Callable[[Harness], Awaitable[object]], base: Path, lower: str, *, rootless: bool) -> None:
    with WorkerDir(base / "workers") as state:
        runtime = find_runtime(cache=base / "runtime", scratch=state.path, worker=state.name, rootless=rootless)
        for name in ("upper", "work"):
            (base / name).mkdir(exist_ok=True)
        target = state.path / "root"
        target.mkdir()
        options = (f"lowerdir={lower}", f"upperdir={base}/upper", f"workdir={base}/work")
        options += ("userxattr",) if rootless else ()
        overlay = MountSpec(type="overlay", source="overlay", options=options)
        with mounted([overlay], target):
            async with NetworkPool(state.path / "networks") as pool:
                result = await function(Harness(OciExecutor(runtime, state, pool), pool, target, base))
    temporary = base / f"result.{time.time_ns()}"
    temporary.write_bytes(pickle.dumps(result))
    temporary.rename(base / "result")


def main(place: str, base: str, lower: str, rootless: str) -> None:
    module, _, name = place.partition(":")
    enter_worker_namespaces(rootless=rootless == "1")
    function = getattr(importlib.import_module(module), name)
    asyncio.run(_serve(function, Path(base), lower, rootless=rootless == "1"))


if __name__ == "__main__":
    main(*sys.argv[1:])
