"""What goes wrong with an engine elsewhere: a clear error, the right exit code, soon, and nothing that hangs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild import State
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.engine.buildkit.engine import BuildKitEngine
from pybuild.errors import EngineUnavailable, SolveError
from pybuild.protocols import ProgressEvent, StepStarted
from tests.buildkit.conftest import DOCKERD, ROOT
from tests.embedded.conftest import unique

pytestmark = pytest.mark.docker

BUILDFILE = """
import os
from pybuild import oci_layout, target
@target(default=True)
def app():
    return oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm").run("echo begun; sleep 300 # {unique}")
"""
SOON = 20  # seconds; what is measured are 5, but the machine may be busy


class Began:
    """A sink that tells when a step of that name begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.event = threading.Event()

    def emit(self, event: ProgressEvent) -> None:
        if isinstance(event, StepStarted) and self._text in event.name:
            self.event.set()


@pytest.fixture
def own_daemon() -> Iterator[tuple[str, Path]]:
    """A daemon that the test may kill: its address, and its state directory, whose path is short for its sockets."""
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon of the test's own needs root")
    state = Path(tempfile.mkdtemp(prefix="dockerd-"))
    started = subprocess.run([DOCKERD, "start", state], stdout=subprocess.PIPE, text=True, check=True)
    yield "docker+" + started.stdout.strip(), state
    subprocess.run([DOCKERD, "kill", state], check=True)
    shutil.rmtree(state, ignore_errors=True)


def started(project: Path, address: str, base_layout: Path) -> subprocess.Popen[str]:
    """A build of a step that sleeps."""
    (project / "Buildfile.py").write_text(BUILDFILE.format(unique=unique()))
    return subprocess.Popen(
        [sys.executable, "-m", "pybuild", "build", "--engine", address, "--progress", "plain"],
        cwd=project,
        env={**os.environ, "PYBUILD_BASE": str(base_layout), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def client(project: Path, address: str, base_layout: Path) -> subprocess.Popen[str]:
    """The same, when the step has begun."""
    process = started(project, address, base_layout)
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith("begun"):
            return process
    raise AssertionError(f"the build ended early: {process.wait()}")


def sleeping(docker_pid_marker: str) -> list[str]:
    """Command lines of steps that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if docker_pid_marker in line and "sleep 300" in line and "python" not in line:
                found.append(line)
    return found


def test_a_daemon_that_is_killed(own_daemon: tuple[str, Path], base_layout: Path, tmp_path: Path) -> None:
    address, state = own_daemon
    (tmp_path / "project").mkdir()
    process = client(tmp_path / "project", address, base_layout)
    os.kill(int((state / "pid").read_text()), signal.SIGKILL)
    _, said = process.communicate(timeout=SOON)
    assert process.returncode == 69, said
    assert "error[engine-unavailable]" in said
    assert "was lost" in said or "ended the session" in said


def test_ctrl_c_ends_the_step_on_the_daemon_too(docker_host: str, base_layout: Path, tmp_path: Path) -> None:
    process = client(tmp_path, f"docker+{docker_host}", base_layout)
    marker = (tmp_path / "Buildfile.py").read_text().split("# ")[1].split('"')[0]
    assert sleeping(marker)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=SOON)
    assert process.returncode == 130, said
    end = time.monotonic() + SOON
    while sleeping(marker) and time.monotonic() < end:
        time.sleep(0.1)
    assert not sleeping(marker)


def test_cancelling_from_another_thread(engine: BuildKitEngine, base: State) -> None:
    sink, cancelled = Began("sleep"), threading.Event()
    request = request_for(base.run(f"sleep 300 # {unique()}"))
    threading.Thread(target=lambda: (sink.event.wait(60), cancelled.set()), daemon=True).start()
    with pytest.raises(SolveError, match="canceled"):
        engine.run(request, session_for(), sink, cancelled)


def test_nobody_there(tmp_path: Path, base: State) -> None:
    for address in (f"unix://{tmp_path}/none.sock", f"docker+unix://{tmp_path}/none.sock", "tcp://127.0.0.1:9"):
        with pytest.raises(EngineUnavailable, match="cannot connect to .*(No such file|refused)"):
            BuildKitEngine(address).run(request_for(base), session_for(), Began(""))


class Server:
    """A Unix socket whose connections are served by a function, each in a thread."""

    def __init__(self, path: Path, serve: object) -> None:
        self.address = f"docker+unix://{path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._serve = serve
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()  # type: ignore[arg-type]

    def close(self) -> None:
        self._listener.close()


def test_something_else_listens_there(tmp_path: Path, base: State) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno such\r\n")
        connection.close()

    server = Server(tmp_path / "sock", refuse)
    with pytest.raises(EngineUnavailable, match="does not offer BuildKit: 404 Not Found no such"):
        BuildKitEngine(server.address).run(request_for(base), session_for(), Began(""))
    server.close()


class Proxy(Server):
    """In front of a daemon: refuses sessions, or drops them when told to."""

    def __init__(self, path: Path, daemon: str, *, refuse: bool = False) -> None:
        self._daemon, self._refuse = daemon.removeprefix("unix://"), refuse
        self.sessions: list[socket.socket] = []
        self.connections: list[socket.socket] = []
        super().__init__(path, self._forward)

    def drop(self) -> None:
        """End all connections."""
        for connection in self.connections:
            with contextlib.suppress(OSError):  # some have ended already
                connection.shutdown(socket.SHUT_RDWR)

    def _forward(self, connection: socket.socket) -> None:
        head = connection.recv(65536)
        if head.startswith(b"POST /session") and self._refuse:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\nnot for you\n")
            connection.close()
            return
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(self._daemon)
        upstream.sendall(head)
        self.connections.append(connection)
        if head.startswith(b"POST /session"):
            self.sessions.append(connection)
        threading.Thread(target=copy, args=(upstream, connection), daemon=True).start()
        copy(connection, upstream)


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    target.close()


def test_a_refused_session(docker_host: str, tmp_path: Path, base: State) -> None:
    proxy = Proxy(tmp_path / "sock", docker_host, refuse=True)
    with pytest.raises(EngineUnavailable, match="403 Forbidden not for you"):
        BuildKitEngine(proxy.address).run(request_for(base), session_for(), Began(""))
    proxy.close()


def test_a_session_that_is_dropped(docker_host: str, tmp_path: Path, base: State) -> None:
    proxy = Proxy(tmp_path / "sock", docker_host)
    sink = Began("sleep")

    def drop() -> None:
        sink.event.wait(60)
        proxy.sessions[0].shutdown(socket.SHUT_RDWR)

    threading.Thread(target=drop, daemon=True).start()
    started = time.monotonic()
    with pytest.raises(EngineUnavailable, match="ended the session|was lost"):
        BuildKitEngine(proxy.address).run(request_for(base.run(f"sleep 300 # {unique()}")), session_for(), sink)
    assert time.monotonic() - started < SOON
    proxy.close()


def test_a_network_that_is_gone(docker_host: str, tmp_path: Path, base: State) -> None:
    """All connections drop at once, and no new ones can be made."""
    proxy = Proxy(tmp_path / "sock", docker_host)
    sink = Began("sleep")

    def drop() -> None:
        sink.event.wait(60)
        proxy.close()
        (tmp_path / "sock").unlink()
        proxy.drop()

    threading.Thread(target=drop, daemon=True).start()
    engine = BuildKitEngine(proxy.address)
    with pytest.raises(EngineUnavailable, match="ended the session|was lost"):
        engine.run(request_for(base.run(f"sleep 300 # {unique()}")), session_for(), sink)
    engine.close()


@pytest.mark.parametrize("how", ["refused", "dropped"])
def test_the_command_ends_with_code_69_and_leaves_no_process(
    docker_host: str, base_layout: Path, tmp_path: Path, how: str
) -> None:
    proxy = Proxy(tmp_path / "sock", docker_host, refuse=how == "refused")
    (tmp_path / "project").mkdir()
    if how == "dropped":
        process = client(tmp_path / "project", proxy.address, base_layout)
        proxy.drop()
    else:
        process = started(tmp_path / "project", proxy.address, base_layout)
    _, said = process.communicate(timeout=SOON)
    proxy.close()
    assert process.returncode == 69, said
    assert "error[engine-unavailable]" in said
    assert "Traceback" not in said
