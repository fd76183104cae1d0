"""Running an exec step: mounts, user, environment, process, and what becomes of its outputs.

Mirrors BuildKit's solver/llbsolver/ops/exec.go and executor/runcexecutor/executor.go.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import time
from collections.abc import Sequence
from pathlib import Path

from pybuild.errors import ExecError, SolveError
from pybuild.llb.meta import ExecMeta, LinuxResources, ProxyEnv
from pybuild.llb.mounts import SshMount
from pybuild.llb.ops import ExecOp
from pybuild.llb.paths import clean
from pybuild.oci.imageconfig import DEFAULT_PATH, variables
from pybuild.protocols import Executor, LogStream, ProcessSpec, ProgressSink, StepLog
from pybuild.session.masking import MaskedOutput
from pybuild.solver.execmounts import ExecMounts
from pybuild.solver.mountpoints import resolve_in
from pybuild.solver.state import Step
from pybuild.store.users import User, resolve_user


class StepOutput(MaskedOutput):
    """Passes a step's output on as progress, and keeps it for the error message; the step's secrets are masked.

    Args:
        step: what prints.
        sink: receives the log.
    """

    def __init__(self, step: Step, sink: ProgressSink) -> None:
        self._digest = step.vertex.digest
        self._sink = sink
        self._kept: list[bytes] = []
        super().__init__()

    def emit(self, stream: LogStream, data: bytes) -> None:
        """See MaskedOutput."""
        self._kept.append(data)
        self._sink.emit(StepLog(digest=self._digest, stream=stream, data=data, time=time.time()))

    @property
    def text(self) -> bytes:
        """All that was printed, both streams in the order of arrival."""
        return b"".join(self._kept)


async def run_exec(step: Step, mounts: ExecMounts, executor: Executor, output: StepOutput) -> None:
    """Run the step's process; its outputs are those of `mounts`, not committed yet.

    Args:
        step: whose op is an ExecOp.
        mounts: opened already.
        executor: runs the process.
        output: takes what it prints.

    Raises:
        ExecError: the exit code is not among the valid ones.
    """
    op = step.vertex.op
    assert isinstance(op, ExecOp)
    process = await asyncio.to_thread(process_of, op, mounts, step.vertex.metadata.resources)
    output.mask(mounts.secrets.values())
    container = f"pybuild-{os.urandom(8).hex()}"
    try:
        status = await executor.run(container, mounts.rootfs, mounts.bound, process, output)
    finally:
        output.finish()
    valid = op.meta.valid_exit_codes or (0,)
    if status.code not in valid:
        hint = f"it ran into its limit of {process.timeout_seconds:g} s" if status.timed_out else ""
        # When the kernel refuses a file as it is executed, all that is known is what the container's init prints.
        started = status.started and not _is_init_message(output.text, op.meta.args[0])
        if not started:
            hint = _why_not_started(op, mounts)
        raise ExecError(op.meta.args, status.code, log=output.text, hint=hint, started=started)


def _is_init_message(text: bytes, program: str) -> bool:
    return text.count(b"\n") == 1 and text.startswith(f"exec {program}: ".encode())


def _why_not_started(op: ExecOp, mounts: ExecMounts) -> str:
    program = op.meta.args[0]
    if "/" not in program:
        return f'no directory of PATH has a program "{program}"'
    if any(program.startswith(mount.target.rstrip("/") + "/") for mount in op.mounts if mount.target != "/"):
        return ""
    if mounts.root_tree.lookup(clean(posixpath.join(op.meta.cwd, program))) is not None:
        return (
            f'"{program}" is there: is it executable, for this platform, and are the interpreter or the loader and '
            "libraries that it needs in the image?"
        )
    if op.meta.args[1:2] == ("-c",):
        return f'there is no shell "{program}" in the image; a list of arguments runs without one: run(["/app", "x"])'
    return f'there is no "{program}" in the image'


def process_of(op: ExecOp, mounts: ExecMounts, resources: LinuxResources | None) -> ProcessSpec:
    """The process of a step in its open mounts; makes its working directory.

    Raises:
        SolveError: there is no such user.
        SecretNotFound: a secret that it needs is not there.
    """
    meta = op.meta
    user = resolve_user(mounts.root_tree, meta.user)
    _make_cwd(mounts.rootfs, meta.cwd, user)
    limits = resources or LinuxResources()
    return ProcessSpec(
        args=meta.args,
        env=_environment(op, user, mounts),
        cwd=meta.cwd,
        uid=user.uid,
        gid=user.gid,
        additional_gids=tuple(user.additional_gids),
        hostname=meta.hostname,
        extra_hosts=meta.extra_hosts,
        network=op.network,
        security=op.security,
        ulimits=meta.ulimits,
        memory=limits.memory,
        cpu_quota=limits.cpu_quota,
        cpu_period=limits.cpu_period,
        cpu_shares=limits.cpu_shares,
        cpuset_cpus=limits.cpuset_cpus,
        timeout_seconds=limits.timeout_seconds,
        devices=tuple(device.name for device in op.cdi_devices),
    )


def _environment(op: ExecOp, user: User, mounts: ExecMounts) -> tuple[str, ...]:
    meta: ExecMeta = op.meta
    env = variables(meta.env)
    env.setdefault("PATH", DEFAULT_PATH)
    if meta.proxy_env is not None:
        for name, value in _proxies(meta.proxy_env):
            env.setdefault(name, value)
    for secret in op.secret_env:
        # An absent optional secret sets the variable to the empty string, as BuildKit does.
        found = mounts.secret(secret.secret_id, optional=secret.optional)
        env[secret.name] = os.fsdecode(found or b"")
    ssh = [mount for mount in op.mounts if isinstance(mount, SshMount)]
    if ssh:
        env.setdefault("SSH_AUTH_SOCK", ssh[0].target)
    env.setdefault("HOME", user.home)
    return tuple(f"{name}={value}" for name, value in env.items())


def _proxies(proxy: ProxyEnv) -> Sequence[tuple[str, str]]:
    pairs = [
        ("HTTP_PROXY", proxy.http_proxy),
        ("HTTPS_PROXY", proxy.https_proxy),
        ("FTP_PROXY", proxy.ftp_proxy),
        ("NO_PROXY", proxy.no_proxy),
        ("ALL_PROXY", proxy.all_proxy),
    ]
    return [(spelled, value) for name, value in pairs if value for spelled in (name, name.lower())]


def _make_cwd(rootfs: Path, cwd: str, user: User) -> None:
    """Create the working directory, and parents that are missing, for the step's user."""
    root = str(rootfs)
    path = resolve_in(root, clean(cwd))
    missing: list[str] = []
    while not os.path.lexists(root + path):
        missing.append(path)
        path = os.path.dirname(path)
    if not os.path.isdir(root + path):
        raise SolveError(
            f'working directory "{cwd}": "{path}" is not a directory', hint="set another one: workdir(...)"
        )
    for created in reversed(missing):
        os.mkdir(root + created, 0o755)
        os.chown(root + created, user.uid, user.gid)
