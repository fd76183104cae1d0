"""Runs steps in an OCI runtime: `OciExecutor` turns a process into a bundle, and `runtime run` into an exit status.

One `run` command per step, nothing else: create, start and delete as separate commands would triple the cost. The
container is a descendant of the worker, so it dies with the worker whatever happens. Mirrors
executor/runcexecutor/executor.go of BuildKit.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Coroutine, Sequence
from pathlib import Path

import attrs

from pybuild.errors import EngineUnavailable
from pybuild.protocols import BoundMount, Console, ExitStatus, ProcessIO, ProcessSpec
from pybuild.runtime.cgroups import cgroups_path
from pybuild.runtime.etcfiles import EtcFiles
from pybuild.runtime.network import NetworkPool
from pybuild.runtime.probe import Runtime
from pybuild.runtime.process import PumpedProcess
from pybuild.runtime.runtimelog import blames_command, runtime_errors
from pybuild.runtime.spec import encode, host_facts, runtime_spec
from pybuild.runtime.workerdir import WorkerDir

#: What the runtime itself gets; the step's environment is in its config.
_ENVIRONMENT = {"PATH": os.defpath, "GOGC": "off"}
#: How long the runtime may take to go away after its container was killed.
_SETTLE_SECONDS = 5.0


@attrs.define
class _Container:
    """A step that runs: its id, its bundle, and the runtime's process."""

    id: str
    bundle: Path
    process: PumpedProcess


class OciExecutor:
    """Executor on an OCI runtime.

    Args:
        runtime: see `probe.find_runtime`.
        state: the worker's open state directory.
        network: where network namespaces come from.
        grace_seconds: between SIGTERM and SIGKILL when a step is cancelled.
    """

    def __init__(self, runtime: Runtime, state: WorkerDir, network: NetworkPool, *, grace_seconds: float = 2.0) -> None:
        self.name = runtime.name
        self._runtime = runtime
        self._worker = state.name
        self._bundles = state.path / "bundles"
        self._containers = state.path / "containers"
        self._bundles.mkdir(exist_ok=True)
        self._etc = EtcFiles(state.path)
        self._network = network
        self._grace_seconds = grace_seconds
        self._host = host_facts(rootless=runtime.rootless)

    async def run(
        self,
        container_id: str,
        rootfs: Path,
        mounts: Sequence[BoundMount],
        process: ProcessSpec,
        io: ProcessIO,
        console: Console | None = None,
    ) -> ExitStatus:
        """See protocols.Executor."""
        async with self._network.namespace(process.network, process.security) as namespace:
            spec = runtime_spec(
                process,
                host=self._host,
                rootfs=str(rootfs),
                mounts=mounts,
                etc_mounts=self._etc.mounts(
                    process.network, hostname=process.hostname, extra_hosts=process.extra_hosts
                ),
                network_namespace=namespace,
                cgroups_path=cgroups_path(self._worker, container_id),
            )
            bundle = self._bundles / container_id
            bundle.mkdir()
            try:
                (bundle / "config.json").write_bytes(encode(spec))
                return await self._run_bundle(container_id, bundle, process.timeout_seconds, io, console or Console())
            finally:
                shutil.rmtree(bundle)

    async def _run_bundle(
        self, container_id: str, bundle: Path, limit: float, io: ProcessIO, console: Console
    ) -> ExitStatus:
        command = [*self._command(bundle), "run", "--bundle", str(bundle), "--pid-file", str(bundle / "pid")]
        process = PumpedProcess([*command, container_id], io, env=_ENVIRONMENT, console=console)
        container = _Container(container_id, bundle, process)
        console.send_signal = process.send
        timed_out = False
        try:
            code = await asyncio.wait_for(process.wait(), limit or None)
        except TimeoutError:
            timed_out = True
            code = await self._stop(container)
        except BaseException:
            await _uninterrupted(self._stop(container))
            raise
        finally:
            console.send_signal = None
        if code < 0:
            await asyncio.to_thread(self._delete, container)
            code = 128 - code
        if code and not timed_out:
            return self._failed(container, code)
        return ExitStatus(code=code, timed_out=timed_out)

    def _command(self, bundle: Path) -> list[str]:
        log = ["--log", str(bundle / "log"), "--log-format", "json"]
        return [str(self._runtime.path), *self._runtime.options, "--root", str(self._containers), *log]

    def _failed(self, container: _Container, code: int) -> ExitStatus:
        """Tell the command's own failure from the runtime's, which uses exit codes of commands too.

        Runtimes print their errors on stderr as well as into their log, so the step's output has them already.
        """
        errors = runtime_errors(container.bundle / "log")
        if not errors:
            return ExitStatus(code=code)
        message = "; ".join(errors)
        if not blames_command(message):
            raise EngineUnavailable(f"{self.name} cannot run the step: {message}")
        return ExitStatus(code=1, started=False)

    # ------------------------------------------------------------------------------------------------ stopping

    async def _stop(self, container: _Container) -> int:
        """End a container: SIGTERM and a grace period if it can react, then SIGKILL; returns the exit code."""
        process = container.process
        init = _read_pid(container.bundle / "pid")
        if init and _catches(init, signal.SIGTERM):
            _kill(init, signal.SIGTERM)
            if await _ended(process, self._grace_seconds):
                return _as_exit_code(await process.wait())
        if init:
            _kill(init, signal.SIGKILL)
        else:
            process.send(signal.SIGKILL)
        if not await _ended(process, _SETTLE_SECONDS):
            process.send(signal.SIGKILL)
        await asyncio.to_thread(self._delete, container)
        return _as_exit_code(await process.wait())

    def _delete(self, container: _Container) -> None:
        """Remove what a runtime that was killed left of its container; not an error when there is nothing."""
        if os.path.exists(self._containers / container.id):
            command = [*self._command(container.bundle), "delete", "--force", container.id]
            subprocess.run(command, env=_ENVIRONMENT, capture_output=True, check=False)


async def _uninterrupted(stopping: Coroutine[object, object, int]) -> None:
    """Finish `stopping` even when this task is cancelled again."""
    task = asyncio.create_task(stopping)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue


async def _ended(process: PumpedProcess, seconds: float) -> bool:
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _as_exit_code(code: int) -> int:
    return code if code >= 0 else 128 - code


def _read_pid(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except (OSError, ValueError):
        return 0


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; the first process of a container gets no others."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            caught = next((int(line.split()[1], 16) for line in status if line.startswith("SigCgt:")), 0)
    except OSError:
        return False
    return bool(caught >> (number - 1) & 1)


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
