"""A file server on loopback that can do what real ones do: versions, parts, passwords, and breaking down."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs


@attrs.define(kw_only=True)
class Page:
    """What is served at a path.

    `break_after` cuts the connection after so many bytes of an answer, each value once; `failures` are statuses to
    answer with first; `ignores_conditions` sends the content even when the client has it.
    """

    data: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    authorization: str = ""
    location: str = ""
    failures: list[int] = attrs.field(factory=list[int])
    break_after: list[int] = attrs.field(factory=list[int])
    ignores_conditions: bool = False
    ranges: bool = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        page = self.server.pages.get(self.path)
        if page is None:
            self._answer(404, {}, b"")
        elif page.failures:
            self._answer(page.failures.pop(0), {"Retry-After": "0"}, b"")
        elif page.authorization and self.headers.get("Authorization") != page.authorization:
            self._answer(401, {}, b"")
        elif page.location:
            self._answer(302, {"Location": page.location}, b"")
        elif not page.ignores_conditions and self._has(page):
            self._answer(304, {name: page.headers[name] for name in ("ETag",) if name in page.headers}, b"")
        else:
            self._content(page)

    def _has(self, page: Page) -> bool:
        wanted = self.headers.get("If-None-Match", "").split(", ")
        since = self.headers.get("If-Modified-Since")
        return page.headers.get("ETag", "-") in wanted or (
            since is not None and since == page.headers.get("Last-Modified")
        )

    def _content(self, page: Page) -> None:
        start, status, headers = 0, 200, dict(page.headers)
        version = page.headers.get("ETag") or page.headers.get("Last-Modified")
        if page.ranges and "Range" in self.headers and self.headers.get("If-Range") == version:
            start, status = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{len(page.data) - 1}/{len(page.data)}"
        self._answer(status, headers, page.data[start:], page.break_after.pop(0) if page.break_after else None)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, break_after: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if break_after is None else body[:break_after])
        if break_after is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


class FileServer(ThreadingHTTPServer):
    """Serves `pages` by path; `requests` are those made so far, with their headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.scheme = "http"

    def url(self, path: str) -> str:
        return f"{self.scheme}://localhost:{self.server_address[1]}{path}"

    def asked(self) -> list[str]:
        """The paths asked for since the last call."""
        found = [path for path, _ in self.requests]
        self.requests.clear()
        return found


@contextmanager
def serve_files(certificate: Path | None = None) -> Iterator[FileServer]:
    """A server for the block; with a certificate (and its key in one file) it speaks https."""
    server = FileServer()
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
