"""Connections: for an `Address`, a socket whose other end speaks gRPC.

A Docker Engine is asked over HTTP to upgrade the connection (`POST /grpc`, `POST /session`; moby's
api/server/router/grpc and /session). Engines in containers, pods and behind ssh are reached over the standard streams
of a program that runs there, as buildctl does (client/connhelper).
"""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from pybuild.engine.buildkit.address import Address, Tls
from pybuild.errors import EngineUnavailable

TIMEOUT: Final = 10.0
"""Seconds that connecting may take."""
_MAX_HEAD: Final = 64 << 10

_ALERT: Final = "_ALERT_"

Header = tuple[str, str]


def dial(address: Address, *, path: str = "/grpc", headers: Iterable[Header] = ()) -> socket.socket:
    """Connect.

    Args:
        address: where to.
        path: what to ask a Docker Engine for.
        headers: what to send along to a Docker Engine.

    Raises:
        EngineUnavailable: nobody answers there, TLS fails, or the engine refuses.
    """
    try:
        sock = _transport(address)
        try:
            if address.docker:
                _upgrade(sock, address, path, headers)
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
    except ssl.SSLError as error:
        raise EngineUnavailable(
            f"{address}: {tls_failure(error)}", hint="check the certificates and the server's name"
        ) from error
    except OSError as error:
        raise _unreachable(address, error) from error
    return sock


def tls_failure(error: ssl.SSLError) -> str:
    """What went wrong, in words: a check of ours that failed, or the alert that the other side sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS failed: {error.verify_message}"
    if is_alert(error):
        return f"TLS failed: the engine says: {error.reason.partition(_ALERT)[2].replace('_', ' ').lower()}"
    return f"TLS failed: {error.reason or error}"


def is_alert(error: ssl.SSLError) -> bool:
    """Whether the other side said what it does not like."""
    return _ALERT in (error.reason or "")


def _unreachable(address: Address, error: OSError) -> EngineUnavailable:
    text = error.strerror or str(error) or type(error).__name__
    hint = "start it, or choose another engine with --engine"
    if address.docker:
        hint = "is docker running? DOCKER_HOST and the current docker context say where it is looked for"
    if isinstance(error, PermissionError):
        hint = f'this user may not open "{address.target}"'
    return EngineUnavailable(f"cannot connect to {address}: {text}", hint=hint)


def _transport(address: Address) -> socket.socket:
    match address.scheme:
        case "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(TIMEOUT)
            try:
                sock.connect(address.target)
            except BaseException:
                sock.close()
                raise
            return sock
        case "tcp":
            return _tcp(address)
        case _:
            return _program(address)


def _tcp(address: Address) -> socket.socket:
    parts = urlsplit(f"//{address.target}")
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        port = None
        host = ""
    if not host or port is None:
        raise EngineUnavailable(f"{address} names no host and port", hint="write tcp://HOST:PORT")
    sock = socket.create_connection((host, port), timeout=TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.tls is None:
        return sock
    try:
        context = tls_context(address.tls, "http/1.1" if address.docker else "h2")
        return context.wrap_socket(sock, server_hostname=address.tls.server_name or host)
    except BaseException:
        sock.close()
        raise


def tls_context(tls: Tls, protocol: str) -> ssl.SSLContext:
    """What encrypts a connection. Raises EngineUnavailable when a file cannot be read."""
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key or None)
    except OSError as error:
        files = ", ".join(filter(None, (tls.ca, tls.cert, tls.key)))
        raise EngineUnavailable(f"cannot read the TLS files {files}: {error.strerror or error}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def _program(address: Address) -> socket.socket:
    """A connection over the standard streams of a program."""
    argv = command(address)
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            argv,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        ours.close()
        raise EngineUnavailable(f"{address} needs the program {argv[0]}: {error.strerror}") from error
    finally:
        theirs.close()
    return _ProgramSocket(ours, process, address)


class _ProgramSocket(socket.socket):
    """The end of a socket pair that belongs to a program; closing it ends the program."""

    def __init__(self, sock: socket.socket, process: subprocess.Popen[bytes], address: Address) -> None:
        super().__init__(fileno=sock.detach())
        self._process = process
        self._address = address

    def complaint(self) -> str:
        """What the program said last, once it has ended."""
        try:
            _, text = self._process.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            return ""
        lines = text.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.returncode}"

    def close(self) -> None:
        """Close the connection, and end the program."""
        super().close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def complaint_of(sock: socket.socket) -> str:
    """Why a connection ended, when something is known about it."""
    return sock.complaint() if isinstance(sock, _ProgramSocket) else ""


def command(address: Address) -> list[str]:
    """The program whose standard streams lead to the engine.

    Example:
        >>> from pybuild.engine.buildkit.address import parse_address
        >>> command(parse_address("docker-container://builder"))
        ['docker', 'exec', '-i', 'builder', 'buildctl', 'dial-stdio']
    """
    option = address.option
    match address.scheme:
        case "docker-container" | "podman-container":
            program = address.scheme.partition("-")[0]
            context = ["--context", option("context")] if option("context") and program == "docker" else []
            return [program, *context, "exec", "-i", address.target, "buildctl", "dial-stdio"]
        case "kube-pod":
            context = [f"--context={option('context')}"] if option("context") else []
            namespace = [f"--namespace={option('namespace')}"] if option("namespace") else []
            container = [f"--container={option('container')}"] if option("container") else []
            flags = [*context, *namespace]
            return ["kubectl", *flags, "exec", *container, "-i", address.target, "--", "buildctl", "dial-stdio"]
        case _:
            return _ssh(address)


def _ssh(address: Address) -> list[str]:
    parts = urlsplit(f"//{address.target}")
    remote: Sequence[str] = ("docker", "system", "dial-stdio") if address.docker else ("buildctl", "dial-stdio")
    if parts.path.strip("/") and not address.docker:
        remote = ("buildctl", "--addr", f"unix://{parts.path}", "dial-stdio")
    user = ["-l", parts.username] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    return ["ssh", "-o", "ConnectTimeout=10", *user, *port, "--", parts.hostname or "", *remote]


def _upgrade(sock: socket.socket, address: Address, path: str, headers: Iterable[Header]) -> None:
    """Turn an HTTP connection to a Docker Engine into one that speaks gRPC."""
    lines = [f"POST {path} HTTP/1.1", "Host: docker", "Connection: Upgrade", "Upgrade: h2c"]
    lines += [f"{name}: {value}" for name, value in headers]
    sock.settimeout(TIMEOUT)
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    head = _head(sock)
    status = head.split(b"\r\n", 1)[0].decode(errors="replace")
    if " 101 " in f"{status} ":
        return
    if not head:
        raise EngineUnavailable(f"{address} closed the connection: {complaint_of(sock) or 'no answer'}")
    body = sock.recv(4096).decode(errors="replace").strip()
    raise EngineUnavailable(
        f"{address} does not offer BuildKit: {status.partition(' ')[2]} {body}".rstrip(),
        hint="Docker Engine 18.09 or newer is needed, with BuildKit not disabled",
    )


def _head(sock: socket.socket) -> bytes:
    """An HTTP response's head; what follows belongs to the new protocol, so not a byte more is read."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n") and len(head) < _MAX_HEAD:
        byte = sock.recv(1)
        if not byte:
            break
        head += byte
    return bytes(head)
