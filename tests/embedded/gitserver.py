"""Real git repositories, and real servers for them on loopback: smart and dumb http, with and without a password."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(directory: Path, *arguments: str, date: int = 1_600_000_000) -> str:
    """Run git in a directory."""
    when = {"GIT_AUTHOR_DATE": f"{date} +0000", "GIT_COMMITTER_DATE": f"{date} +0000"}
    command = ["git", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main", *arguments]
    done = subprocess.run(
        command, cwd=directory, env={**os.environ, **_IDENTITY, **when}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Repository:
    """A repository with a work tree, whose `.git` the servers below can serve as NAME.git."""

    def __init__(self, root: Path, name: str, *, object_format: str = "sha1") -> None:
        self.work = root.parent / f"work-{name}"
        self.bare = root / f"{name}.git"
        self.name = name
        self.work.mkdir(parents=True)
        git(self.work, "init", "-q", f"--object-format={object_format}")
        root.mkdir(parents=True, exist_ok=True)
        git(root, "init", "-q", "--bare", f"--object-format={object_format}", str(self.bare))
        git(self.work, "remote", "add", "origin", str(self.bare))

    def commit(self, *, date: int = 1_600_000_000, **files: str) -> str:
        """Write files (`__` in a name stands for a slash, `DOT` for a dot), commit and push; returns the commit."""
        for name, text in files.items():
            path = self.work / name.replace("__", "/").replace("DOT", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", self.name, date=date)
        self.push("HEAD")
        return git(self.work, "rev-parse", "HEAD")

    def push(self, *refs: str) -> None:
        git(self.work, "push", "-q", "--force", "origin", *refs)

    def git(self, *arguments: str) -> str:
        return git(self.work, *arguments)


class _Handler(BaseHTTPRequestHandler):
    server: GitServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self._chunked() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        self.server.requests.append(self.path)
        path = urlsplit(self.path).path
        if self.server.failures:
            self.send_error(self.server.failures.pop(0))
            return
        wanted = self.server.authorization.get(path.split("/")[1], "")
        if wanted and self.headers.get("Authorization", "").lower() != wanted.lower():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.server.dumb:
            self._file(self.server.root / path.lstrip("/"))
        else:
            self._backend(body)

    def _chunked(self) -> bytes:
        parts: list[bytes] = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _backend(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", "") if self.server.protocol_2 else "",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


class GitServer(ThreadingHTTPServer):
    """Serves the bare repositories of a directory.

    `authorization` maps a repository's directory name to the header it wants, `requests` are the paths asked for,
    `failures` are statuses to answer the next requests with.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.dumb = False
        self.protocol_2 = True
        self.authorization: dict[str, str] = {}
        self.failures: list[int] = []
        self.requests: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def url(self, name: str) -> str:
        return f"http://{self.host}/{name}.git"

    def want_token(self, name: str, token: str) -> None:
        self.authorization[f"{name}.git"] = basic("x-access-token", token)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def serve(root: Path) -> Iterator[GitServer]:
    """A server of a directory's repositories, for the block."""
    root.mkdir(parents=True, exist_ok=True)
    server = GitServer(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def tree_of(directory: Path, *, without: Sequence[str] = ()) -> dict[str, str]:
    """Every file below a directory with its text."""
    return {
        str(path.relative_to(directory)): path.read_text(errors="replace")
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not set(path.relative_to(directory).parts) & set(without)
    }
