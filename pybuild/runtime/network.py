"""Networks of steps: private namespaces with outbound traffic, pooled and reused, never by two steps at once.

A sandbox namespace gets its traffic from a user-mode network stack (slirp4netns, or pasta): no bridge, no firewall
rules, no root. The host's loopback services cannot be reached from it. Mirrors util/network of BuildKit.

The stack needs /dev/net/tun. Where that is not for this user, steps get a namespace in which they only reach
themselves, and a warning says so: most steps of most builds want nothing else.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import attrs

from pybuild.errors import EngineUnavailable
from pybuild.llb.meta import NetMode, SecurityMode
from pybuild.runtime import syscalls
from pybuild.runtime.etcfiles import SANDBOX_RESOLVER

_START_SECONDS = 10.0
_TUN = "/dev/net/tun"
_ALONE = "steps have no network: this user may not open /dev/net/tun (chmod 666 /dev/net/tun allows it)"
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_HINT = 'install the package slirp4netns (or passt), or give the step network="host" or network="none"'


@attrs.define
class _Sandbox:
    """A namespace and the process that carries its traffic, if something does."""

    path: str
    stack: subprocess.Popen[bytes] | None

    @property
    def works(self) -> bool:
        """Whether the next step can have it."""
        return (self.stack is None or self.stack.poll() is None) and not has_sockets(self.path)

    def close(self) -> None:
        """End the process and let the kernel free the namespace."""
        if self.stack is not None:
            self.stack.kill()
            self.stack.wait()
        try:
            syscalls.unmount(self.path, syscalls.MNT_DETACH)
            os.unlink(self.path)
        except OSError:
            return  # it vanishes with the worker at the latest


class NetworkPool:
    """Hands out network namespaces; an async context manager.

    Args:
        directory: an empty directory that only the worker sees.
        helper: path of slirp4netns or pasta; None searches for one when the first sandbox is needed.
        warn: is told once when there is no traffic.
    """

    def __init__(
        self, directory: Path, *, helper: Path | None = None, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._directory = directory
        self._helper = helper
        self._warn = warn
        self._idle: list[_Sandbox] = []
        self._starting: list[asyncio.Task[_Sandbox]] = []
        self._made = 0

    async def __aenter__(self) -> Self:
        self._directory.mkdir(exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        started = await asyncio.gather(*self._starting, return_exceptions=True)
        self._starting.clear()
        every = [*self._idle, *(found for found in started if isinstance(found, _Sandbox))]
        self._idle.clear()
        for sandbox in every:
            sandbox.close()

    @asynccontextmanager
    async def namespace(self, mode: NetMode, security: SecurityMode = SecurityMode.SANDBOX) -> AsyncGenerator[str]:
        """The path of the namespace for one step; "" when the step needs none of ours.

        Raises:
            EngineUnavailable: no helper is installed, or it does not start.
        """
        if mode is not NetMode.SANDBOX:
            yield ""
            return
        sandbox = await self._take()
        # An insecure step may have changed addresses or filters: nobody else gets its namespace.
        reusable = security is SecurityMode.SANDBOX
        try:
            yield sandbox.path
        finally:
            if reusable and sandbox.works:
                self._idle.append(sandbox)
            else:
                sandbox.close()

    async def _take(self) -> _Sandbox:
        if self._idle:
            return self._idle.pop()
        task = self._starting.pop(0) if self._starting else asyncio.create_task(self._start(), name="network")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._starting.append(task)  # for the next step, or closed at the end
            raise

    async def _start(self) -> _Sandbox:
        self._made += 1
        path = str(self._directory / f"net-{self._made}")
        if not os.access(_TUN, os.R_OK | os.W_OK):
            if self._made == 1:
                self._warn(_ALONE)
            return await asyncio.to_thread(_start_alone, path)
        helper = self._helper or find_helper()
        return await asyncio.to_thread(_start_sandbox, path, helper)


def find_helper() -> Path:
    """The program that gives a namespace its traffic.

    Raises:
        EngineUnavailable: none is installed.
    """
    for name in ("slirp4netns", "pasta"):
        if found := shutil.which(name):
            return Path(found)
    raise EngineUnavailable(
        "a step needs a private network, but neither slirp4netns nor pasta is installed", hint=_HINT
    )


# ------------------------------------------------------------------------------------------------------ one namespace


def _start_sandbox(path: str, helper: Path) -> _Sandbox:
    create_namespace(path)
    start = _start_pasta if helper.name.startswith("pasta") else _start_slirp
    try:
        return _Sandbox(path=path, stack=start(helper, path))
    except BaseException:
        syscalls.unmount(path, syscalls.MNT_DETACH)
        raise


def _start_alone(path: str) -> _Sandbox:
    create_namespace(path, loopback=True)
    return _Sandbox(path=path, stack=None)


def create_namespace(path: str, *, loopback: bool = False) -> None:
    """Make a network namespace that stays while it is mounted on the new file `path`.

    Args:
        path: the file.
        loopback: bring its own interface up, which a network stack does otherwise.
    """
    with open(path, "xb"):
        pass

    def create() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        if loopback:
            _raise_loopback()
        syscalls.mount("/proc/thread-self/ns/net", path, flags=syscalls.MS_BIND)

    try:
        _in_thread(create)
    except OSError as error:
        raise EngineUnavailable(f"cannot create a network namespace: {error.strerror}") from error


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        found = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        name, flags = struct.unpack("16sh14x", found)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | _IFF_UP))


def has_sockets(path: str) -> bool:
    """Whether something is left of earlier use: connections that are still being closed keep their ports."""
    found: list[str] = []

    def read() -> None:
        with open(path, "rb") as namespace:
            syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)
        # Counters; the tables themselves (/proc/net/tcp) take the kernel 7 ms to walk.
        for name in ("sockstat", "sockstat6"):
            with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
                found.append(file.read())

    _in_thread(read)
    return count_sockets("".join(found)) > 0


def count_sockets(sockstat: str) -> int:
    r"""The TCP and UDP sockets in use, closing ones included, in the text of /proc/net/sockstat and sockstat6.

    Example:
        >>> count_sockets("TCP: inuse 1 orphan 0 tw 2 alloc 1 mem 1\nUDP: inuse 3 mem 0\nTCP6: inuse 0\n")
        6
    """
    total = 0
    for line in sockstat.splitlines():
        protocol, _, rest = line.partition(":")
        fields = rest.split()
        if protocol in ("TCP", "TCP6", "UDP", "UDP6"):
            total += sum(
                int(value) for key, value in zip(fields[::2], fields[1::2], strict=False) if key in ("inuse", "tw")
            )
    return total


def _in_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread of its own, whose namespaces nobody else shares, and raise what it raised."""
    failures: list[OSError] = []

    def guarded() -> None:
        try:
            work()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=guarded, name="network")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _start_slirp(helper: Path, path: str) -> subprocess.Popen[bytes]:
    ready, report = os.pipe()
    command = [str(helper), "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox"]
    command += ["--enable-seccomp", f"--ready-fd={report}", "--netns-type=path", path, "tap0"]
    with open(ready, "rb") as reader:
        process = _popen(command, path, report)
        os.close(report)
        if reader.read(1) != b"1":
            raise _not_started(helper, process, path)
    return process


def _start_pasta(helper: Path, path: str) -> subprocess.Popen[bytes]:
    pid_file = f"{path}.pid"
    command = [str(helper), "--foreground", "--quiet", "--config-net", "--ipv4-only", "--no-map-gw"]
    command += ["--tcp-ports=none", "--udp-ports=none", "--tcp-ns=none", "--udp-ns=none"]
    command += [f"--dns-forward={SANDBOX_RESOLVER}", f"--pid={pid_file}", f"--netns={path}", "--no-netns-quit"]
    command += ["--runas=0:0"] if os.geteuid() == 0 else []
    process = _popen(command, path)
    # pasta writes its pid once the interface is configured.
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if os.path.exists(pid_file) and os.path.getsize(pid_file):
            return process
        time.sleep(0.002)
    raise _not_started(helper, process, path)


def _popen(command: list[str], path: str, *kept: int) -> subprocess.Popen[bytes]:
    with open(f"{path}.log", "wb") as log:
        return subprocess.Popen(
            command,
            pass_fds=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


def _not_started(helper: Path, process: subprocess.Popen[bytes], path: str) -> EngineUnavailable:
    process.kill()
    process.wait()
    message = Path(f"{path}.log").read_text(errors="replace").strip().replace("\n", "; ")
    return EngineUnavailable(f"{helper.name} does not start: {message}", hint=_HINT)
