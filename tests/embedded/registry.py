"""Registries on loopback: the real one (docker-registry), and a proxy before it that breaks down as asked."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import attrs


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def registry(
    directory: Path, *, users: dict[str, str] | None = None, certificate: Path | None = None, token_realm: str = ""
) -> Iterator[str]:
    """docker-registry with its files in `directory`; gives its `host:port`.

    Args:
        directory: for storage and configuration.
        users: passwords by user; without them everybody may do everything.
        certificate: a PEM file with certificate and key; without it there is no TLS.
        token_realm: where clients get tokens, which are signed with `certificate`.
    """
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    http_section: dict[str, object] = {"addr": f"127.0.0.1:{port}", "secret": "test"}
    if certificate is not None and not token_realm:
        http_section["tls"] = {"certificate": str(certificate), "key": str(certificate)}
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
        "http": http_section,
    }
    if users:
        lines = [
            subprocess.run(["htpasswd", "-Bbn", name, password], capture_output=True, text=True, check=True).stdout
            for name, password in users.items()
        ]
        (directory / "htpasswd").write_text("".join(lines))
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    (directory / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(directory / "config.yml")], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.025)
        else:
            return
    raise AssertionError("the registry did not start")


@attrs.define(kw_only=True)
class Fault:
    """What goes wrong with requests whose `METHOD PATH` matches `on`, so many `times`.

    `status` answers instead of the registry; `cut` ends the connection after so many bytes of the answer's body;
    `cut_upload` after so many of the request's; `flip` changes a byte of the body; `delay` waits so many seconds.
    """

    on: str
    times: int = 1
    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    cut: int | None = None
    cut_upload: int | None = None
    flip: bool = False
    delay: float = 0.0


class FaultyRegistry(ThreadingHTTPServer):
    """A proxy before a registry. `faults` happen in order of their matches; `asked` are the requests so far."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.authorized: list[str] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def fault_for(self, request: str) -> Fault | None:
        with self.lock:
            self.asked.append(request)
            for fault in self.faults:
                if fault.times and re.search(fault.on, request):
                    fault.times -= 1
                    return fault
        return None

    def handle_error(self, request: object, client_address: object) -> None:
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyRegistry

    def _serve(self) -> None:
        fault = self.server.fault_for(f"{self.command} {self.path}") or Fault(on="")
        if "Authorization" in self.headers:
            self.server.authorized.append(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault.cut_upload is not None:
            body = self.rfile.read(min(fault.cut_upload, length // 2))
            self._forward(body, fault)  # the registry keeps what came
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = self.rfile.read(length)
        time.sleep(fault.delay)
        if fault.status:
            self._answer(fault.status, fault.headers, b"{}", fault)
            return
        status, headers, data = self._forward(body, fault)
        self._answer(status, headers, data, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve

    def _forward(self, body: bytes, fault: Fault) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        if fault.cut_upload is not None:
            headers.pop("Content-Range", None)
        connection.request(self.command, self.path, body=body or None, headers=headers)
        with closing(connection):
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()

    def _answer(self, status: int, headers: dict[str, str], data: bytes, fault: Fault) -> None:
        self.send_response(status)
        size = headers.get("Content-Length", str(len(data)))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", size if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.flip and data:
            data = bytes([data[0] ^ 1]) + data[1:]
        self.wfile.write(data if fault.cut is None else data[: fault.cut])
        if fault.cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@contextmanager
def faulty(upstream: str) -> Iterator[FaultyRegistry]:
    """A proxy for the block."""
    server = FaultyRegistry(upstream)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _TokenHandler(BaseHTTPRequestHandler):
    default_request_version = "HTTP/1.0"  # who tries TLS gets an answer by which engines know that there is none
    server: TokenRegistry

    def do_GET(self) -> None:
        """Tokens at /token for user and password; all else only with the token, from the registry behind."""
        parts = urlsplit(self.path)
        given = self.headers.get("Authorization", "")
        if parts.path == "/token":
            self.server.scopes.append(parts.query)
            self.server.agents.append(self.headers.get("User-Agent", ""))
            granted = given == self.server.basic
            self._send(200 if granted else 401, {}, json.dumps({"token": "let-me-in", "expires_in": 300}).encode())
            return
        if given != "Bearer let-me-in":
            challenge = f'Bearer realm="http://{self.server.address}/token",service="test"'
            self._send(401, {"WWW-Authenticate": challenge}, b"{}")
            return
        length = int(self.headers.get("Content-Length") or 0)
        connection = http.client.HTTPConnection(self.server.upstream)
        passed = {n: v for n, v in self.headers.items() if n.lower() not in ("authorization", "content-length")}
        connection.request(self.command, self.path, body=self.rfile.read(length) or None, headers=passed)
        with closing(connection):
            answer = connection.getresponse()
            self._send(answer.status, dict(answer.headers), answer.read())

    do_HEAD = do_PUT = do_POST = do_PATCH = do_GET

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


class TokenRegistry(ThreadingHTTPServer):
    """A registry that wants bearer tokens, as most hosted ones do."""

    daemon_threads = True

    def __init__(self, upstream: str, basic: str) -> None:
        super().__init__(("127.0.0.1", 0), _TokenHandler)
        self.upstream = upstream
        self.basic = basic
        self.scopes: list[str] = []
        self.agents: list[str] = []
        """What the programs that asked for tokens call themselves."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def token_registry(upstream: str, basic: str) -> Iterator[TokenRegistry]:
    """A token-wanting front of a registry for the block; `basic` is the Authorization that gets tokens."""
    server = TokenRegistry(upstream, basic)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def self_signed(directory: Path) -> Path:
    """A certificate for 127.0.0.1 with its key in one PEM file; it is its own authority."""
    key, certificate = directory / "key.pem", directory / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    both = directory / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    ssl.create_default_context(cafile=str(both))  # fails here rather than in the registry
    return both
