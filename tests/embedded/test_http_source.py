"""Files over http and https from a server on loopback: identity, revalidation, credentials, and broken transfers."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild import State, http, scratch
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.errors import SourceFetchError
from pybuild.store.store import Store
from tests.embedded.conftest import Builder
from tests.embedded.httpserver import FileServer, Page, serve_files

pytestmark = pytest.mark.engine
MODIFIED = "Wed, 01 Jan 2020 00:00:00 GMT"


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with serve_files() as running:
        yield running


@pytest.fixture
def page(server: FileServer) -> Page:
    """A page at /file.txt with content of its own."""
    server.pages = {"/file.txt": Page(data=os.urandom(16).hex().encode())}
    server.requests.clear()
    return server.pages["/file.txt"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http-store")


@pytest.fixture
def made(store: Path, tmp_path: Path) -> Builder:
    return Builder(store, tmp_path)


def only_file(builder: Builder, state: State, **secrets: str) -> Path:
    (found,) = builder.tree(state, secrets=secrets).iterdir()
    return found


def checksum(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def test_a_file(server: FileServer, page: Page, made: Builder) -> None:
    found = only_file(made, http(server.url("/file.txt")))
    status = found.stat()
    assert (found.name, found.read_bytes()) == ("file.txt", page.data)
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime) == (0o600, 0, 0, 0)


def test_name_mode_owner_and_time(server: FileServer, page: Page, made: Builder) -> None:
    page.headers["Last-Modified"] = MODIFIED
    ref = made(http(server.url("/file.txt"), filename="tool", mode=0o755, uid=12, gid=34)).ref
    status = (Store.open(made.root).snapshots.upper(ref.snapshot) / "tool").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o755, 12, 34)
    assert status.st_mtime == 1_577_836_800


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="tool.sh"', "tool.sh"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename*=UTF-8''gr%C3%BC%C3%9Fe.txt", "grüße.txt"),
        ('attachment; filename="dir/"', "file.txt"),
        ("inline", "file.txt"),
    ],
)
def test_the_server_names_the_file(server: FileServer, page: Page, made: Builder, disposition: str, name: str) -> None:
    page.headers["Content-Disposition"] = disposition
    assert only_file(made, http(server.url("/file.txt"))).name == name


def test_an_etag_is_asked_about_once_per_build(server: FileServer, page: Page, made: Builder) -> None:
    page.headers |= {"ETag": '"v1"', "Content-Disposition": 'attachment; filename="other"'}
    state = scratch().copy(http(server.url("/file.txt")), "/a").copy(http(server.url("/file.txt"), mode=0o644), "/b")
    made(state)
    assert server.asked() == ["/file.txt"]
    made(state)
    assert made.ran == []
    assert server.requests[0][1]["If-None-Match"] == '"v1", W/"v1"'
    assert server.asked() == ["/file.txt"]
    page.data, page.headers["ETag"] = b"changed", 'W/"v2"'
    assert {path.name: path.read_bytes() for path in (made.tree(state) / "b").iterdir()} == {"other": b"changed"}


@pytest.mark.parametrize("header", ['ETag:"v1"', f"Last-Modified:{MODIFIED}"])
def test_not_modified_is_not_downloaded(server: FileServer, page: Page, made: Builder, header: str) -> None:
    name, _, value = header.partition(":")
    page.headers[name] = value
    expected = page.data
    assert only_file(made, http(server.url("/file.txt"))).read_bytes() == expected
    page.data = b"never sent"
    assert only_file(made, http(server.url("/file.txt"))).read_bytes() == expected


def test_servers_that_send_everything_again(server: FileServer, page: Page, made: Builder) -> None:
    page.headers["ETag"], page.ignores_conditions = '"v1"', True
    expected = page.data
    made(http(server.url("/file.txt")))
    page.data = b"not read"
    assert only_file(made, http(server.url("/file.txt"))).read_bytes() == expected


def test_without_etag_the_content_decides(server: FileServer, page: Page, made: Builder) -> None:
    build = scratch().copy(http(server.url("/file.txt")), "/x")
    made(build)
    made(build)
    assert made.ran == []
    page.data = b"new"
    made(build)
    assert made.ran != []


def test_equal_content_from_another_url_is_cached(server: FileServer, page: Page, made: Builder) -> None:
    server.pages["/mirror/file.txt"] = Page(data=page.data)
    made(scratch().copy(http(server.url("/file.txt")), "/x"))
    made(scratch().copy(http(server.url("/mirror/file.txt")), "/x"))
    assert made.ran == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_with_a_checksum_the_second_build_asks_nobody(
    server: FileServer, page: Page, made: Builder, algorithm: str
) -> None:
    pinned = http(server.url("/file.txt"), checksum=checksum(page.data, algorithm))
    build = scratch().copy(pinned, "/x")
    made.engine.plan(request_for(build), session_for())
    assert server.asked() == []
    assert only_file(made, pinned).read_bytes() == page.data
    made(build)
    assert server.asked() == ["/file.txt"]
    made(build)
    only_file(made, pinned)
    made(scratch().copy(pinned, "/y"))
    assert server.asked() == []


def test_wrong_checksum(server: FileServer, page: Page, fresh: Builder) -> None:
    wrong = checksum(b"other")
    with pytest.raises(
        SourceFetchError, match=f"digest mismatch for .*: {checksum(page.data)} .expected: {wrong}"
    ) as e:
        fresh(http(server.url("/file.txt"), checksum=wrong))
    assert e.value.locations[0].file == __file__
    assert list(Store.open(fresh.root).content.walk()) == []


def test_credentials(server: FileServer, page: Page, made: Builder) -> None:
    page.authorization = "Bearer secret-token"
    url = server.url("/file.txt")
    with pytest.raises(SourceFetchError, match=r"access denied \(status 401\)") as caught:
        made(http(url))
    assert "HTTP_AUTH_TOKEN_localhost" in caught.value.hint
    only_file(made, http(url), HTTP_AUTH_TOKEN_localhost="secret-token\n", HTTP_AUTH_HEADER_localhost="wrong")
    only_file(made, http(url, mode=0o640), HTTP_AUTH_HEADER_localhost="Bearer secret-token")
    only_file(made, http(url, header_secret="mine"), mine="Bearer secret-token")
    with pytest.raises(SourceFetchError, match="secret mine: not found"):
        made(http(url, header_secret="mine"))
    page.authorization = "Basic bWU6cEBzcw=="
    only_file(made, http(url.replace("://", "://me:p%40ss@"), mode=0o600))
    page.data = b"x"
    page.authorization = "never"
    with pytest.raises(SourceFetchError) as refused:
        made(http(url.replace("://", "://me:hidden@")))
    assert "hidden" not in str(refused.value)


def test_credentials_do_not_follow_a_redirect(server: FileServer, page: Page, made: Builder) -> None:
    with serve_files() as elsewhere:
        elsewhere.pages["/real"] = Page(data=page.data)
        page.location = elsewhere.url("/real")
        page.authorization = "Bearer t"
        found = only_file(made, http(server.url("/file.txt"), mode=0o604), HTTP_AUTH_TOKEN_localhost="t")
        assert found.name == "file.txt"
        assert [path for path, _ in elsewhere.requests] == ["/real"]
        assert "Authorization" not in elsewhere.requests[0][1]


def test_headers(server: FileServer, page: Page, made: Builder) -> None:
    made(http(server.url("/file.txt"), headers={"accept": "text/plain", "User-Agent": "ua/1"}))
    sent = server.requests[0][1]
    assert (sent["Accept"], sent["User-Agent"], sent["Accept-Encoding"]) == ("text/plain", "ua/1", "identity")


@pytest.mark.parametrize("version", ['"v1"', "", "no-ranges"])
def test_a_broken_transfer(server: FileServer, page: Page, made: Builder, version: str) -> None:
    page.data = os.urandom(300_000)
    page.break_after = [100_000, 50_000]
    page.ranges = version != "no-ranges"
    if version:
        page.headers["ETag"] = '"v1"'
    assert only_file(made, http(server.url("/file.txt"))).read_bytes() == page.data
    ranges = [headers.get("Range") for _, headers in server.requests]
    expected = {'"v1"': [None, "bytes=100000-", "bytes=150000-"], "": [None, None, None]}
    assert ranges == expected.get(version, [None, "bytes=100000-", None])


def test_failures_that_pass(server: FileServer, page: Page, made: Builder) -> None:
    page.failures = [503, 429, 500]
    assert only_file(made, http(server.url("/file.txt"))).read_bytes() == page.data


def test_failures_that_stay(server: FileServer, page: Page, made: Builder) -> None:
    with pytest.raises(SourceFetchError, match="/nowhere: invalid response status 404"):
        made(http(server.url("/nowhere")))
    with pytest.raises(SourceFetchError, match="cannot get http://127.0.0.1:1/x"):
        made(http("http://127.0.0.1:1/x"))
    page.location = server.url("/file.txt")
    with pytest.raises(SourceFetchError, match="too many redirects"):
        made(http(server.url("/file.txt")))


def test_https_with_a_ca_of_ones_own(
    tmp_path: Path, made: Builder, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "both.pem").write_text(key.read_text() + certificate.read_text())
    with serve_files(tmp_path / "both.pem") as server:
        server.pages["/file.txt"] = page
        with pytest.raises(SourceFetchError, match="certificate"):
            made(http(server.url("/file.txt"), mode=0o606))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert only_file(made, http(server.url("/file.txt"), mode=0o606)).read_bytes() == page.data


def test_through_a_proxy(server: FileServer, page: Page, made: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages["http://files.example.com/file.txt"] = page
    monkeypatch.setenv("http_proxy", server.url(""))
    assert only_file(made, http("http://files.example.com/file.txt")).read_bytes() == page.data


def test_downloads_are_used_again_after_a_prune(server: FileServer, page: Page, fresh: Builder) -> None:
    page.headers["ETag"] = '"v1"'
    only_file(fresh, http(server.url("/file.txt")))
    store = Store.open(fresh.root)
    descriptions = {record.description for record in store.gc.usage() if record.kind == "snapshot"}
    assert descriptions == {f"http url {server.url('/file.txt')}"}
    store.gc.prune(all=True)
    assert only_file(fresh, http(server.url("/file.txt"))).read_bytes() == page.data
