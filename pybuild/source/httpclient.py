"""Downloading over http: redirects, credentials that stay with their host, retries, and resumed transfers."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import attrs
import urllib3

from pybuild.digest import Digest
from pybuild.errors import SourceFetchError
from pybuild.llb.giturl import redacted
from pybuild.protocols import BlobWriter, Session
from pybuild.source.httpsettings import HttpSettings

_ATTEMPTS: Final = 5
_BASE_DELAY_SECONDS: Final = 0.25
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 10
_TIMEOUT: Final = urllib3.Timeout(connect=15, read=60)
_CHUNK: Final = 1 << 20

_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")

NewBlob = Callable[[], AbstractContextManager[BlobWriter]]


@attrs.frozen(kw_only=True)
class Known:
    """An earlier answer: what the server called this version, and the digest of its content."""

    digest: str
    etag: str = ""
    modified: str = ""
    disposition: str = ""


@attrs.frozen(kw_only=True)
class Answer:
    """What the server has now. `fresh` says that it was downloaded; otherwise an earlier answer still holds.

    `checksum` is the digest with the algorithm that was asked for.
    """

    digest: str
    checksum: str
    etag: str
    modified: str
    disposition: str
    fresh: bool


def new_pool(url: str) -> urllib3.PoolManager:
    """What makes requests to a URL: through the proxy that the environment names for it, if any."""
    if any(name in os.environ or name.upper() in os.environ for name in _PROXIES):
        from urllib.request import getproxies, proxy_bypass

        parts = urlsplit(url)
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        if proxy and not proxy_bypass(parts.netloc.rpartition("@")[2]):
            return urllib3.ProxyManager(proxy, maxsize=4, retries=False)
    return urllib3.PoolManager(maxsize=4, retries=False)


class HttpDownload:
    """One URL.

    Args:
        settings: what to ask for.
        session: has the credentials.
    """

    def __init__(self, settings: HttpSettings, session: Session) -> None:
        self._settings = settings
        self._pool = new_pool(settings.url)
        self._url, self._headers = _request(settings, session)

    def get(self, known: Known | None, blob: NewBlob) -> Answer:
        """Ask, and take the content unless what is known still holds.

        Args:
            known: an earlier answer, whose content is at hand.
            blob: opens a new blob for the content; called again when a broken transfer has to start over.

        Raises:
            SourceFetchError: the server refuses, fails, or has other content than the checksum says.
        """
        failures = 0
        while True:
            answer = self._ask(_conditions(known))
            try:
                if known is not None and _still_holds(answer, known):
                    return Answer(
                        digest=known.digest,
                        checksum=known.digest,
                        etag=known.etag,
                        modified=known.modified,
                        disposition=answer.headers.get("Content-Disposition", "") or known.disposition,
                        fresh=False,
                    )
                if not 200 <= answer.status < 300 or answer.status == 206:
                    raise self._refused(answer.status)
                return self._take(answer, blob)
            except (urllib3.exceptions.HTTPError, _Changed) as error:
                failures += 1
                if failures >= _ATTEMPTS:
                    raise self._broken(error) from error
                _wait(failures, {})
            finally:
                answer.close()

    # ------------------------------------------------------------------------------------------ content

    def _take(self, answer: urllib3.BaseHTTPResponse, blob: NewBlob) -> Answer:
        algorithm = self._settings.checksum.partition(":")[0] or "sha256"
        with blob() as writer:
            hashing = _Hashing(writer, algorithm)
            self._transfer(answer, hashing)
            checksum = f"{algorithm}:{hashing.hash.hexdigest()}"
            if self._settings.checksum not in ("", checksum):
                raise SourceFetchError(
                    f"digest mismatch for {self._settings.shown}: {checksum} (expected: {self._settings.checksum})",
                    hint="the file was changed, or the checksum is that of another one",
                )
            digest: Digest = writer.commit().digest
        return Answer(
            digest=digest,
            checksum=checksum,
            etag=_etag(answer),
            modified=answer.headers.get("Last-Modified", ""),
            disposition=answer.headers.get("Content-Disposition", ""),
            fresh=True,
        )

    def _transfer(self, answer: urllib3.BaseHTTPResponse, target: _Hashing) -> None:
        """Take the body; a connection that breaks is taken up where it broke, if the server can do that."""
        version = answer.headers.get("ETag", "")
        version = "" if version.startswith("W/") else version or answer.headers.get("Last-Modified", "")
        failures = 0
        current = answer
        while True:
            before = target.count
            try:
                for data in current.stream(_CHUNK, decode_content=False):
                    target.write(data)
            except urllib3.exceptions.HTTPError:
                failures = 0 if target.count > before else failures + 1
                if failures >= _ATTEMPTS or not version:
                    raise
                current.close()
                _wait(failures, {})
                current = self._ask({"Range": f"bytes={target.count}-", "If-Range": version})
                if current.status != 206:
                    current.close()
                    raise _Changed from None
            else:
                return

    # ----------------------------------------------------------------------------------------- requests

    def _ask(self, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """A GET whose answer will not get better by trying again."""
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self._follow({**self._headers, **headers})
            except urllib3.exceptions.HTTPError as error:
                if attempt >= _attempts(error):
                    raise self._broken(error) from error
                _wait(attempt, {})
                continue
            if answer.status not in _RETRIED or attempt == _ATTEMPTS:
                return answer
            answer.close()
            _wait(attempt, answer.headers)

    def _follow(self, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        url = self._url
        for _ in range(_MAX_REDIRECTS):
            sent = dict(headers)
            if _origin(url) != _origin(self._url):
                sent.pop("Authorization", None)
            answer = self._pool.request(
                "GET", url, headers=sent, redirect=False, retries=False, preload_content=False, timeout=_TIMEOUT
            )
            place = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not place:
                return answer
            answer.close()
            url = urljoin(url, place)
            if urlsplit(url).scheme not in ("http", "https"):
                raise SourceFetchError(f"{self._settings.shown} leads to {redacted(url)}, which is not http")
        raise SourceFetchError(f"{self._settings.shown}: too many redirects")

    def _refused(self, status: int) -> SourceFetchError:
        shown = self._settings.shown
        if status in (401, 403):
            host = urlsplit(self._url).hostname
            hint = f"send credentials: --secret id=HTTP_AUTH_TOKEN_{host},env=VARIABLE"
            return SourceFetchError(f"{shown}: access denied (status {status})", hint=hint)
        hint = "check the URL" if status in (404, 410) else ""
        return SourceFetchError(f"{shown}: invalid response status {status}", transient=status in _RETRIED, hint=hint)

    def _broken(self, error: Exception) -> SourceFetchError:
        reason = getattr(error, "reason", None) or error
        text = str(reason).rpartition("object at ")[2].partition(": ")[2] or str(reason)
        if isinstance(error, _Changed):
            text = "the file changed while it was being downloaded"
        return SourceFetchError(
            f"cannot get {self._settings.shown}: {text}",
            transient=not isinstance(reason, urllib3.exceptions.SSLError),
            hint="check the name and the network, and try again",
        )


class _Changed(Exception):  # never leaves this module
    """A transfer cannot be resumed: the content is another one now, or the server cannot send parts."""


class _Hashing:
    """Passes bytes on, counts and hashes them."""

    def __init__(self, target: BlobWriter, algorithm: str) -> None:
        self._target = target
        self.hash = hashlib.new(algorithm)
        self.count = 0

    def write(self, data: bytes) -> None:
        self.hash.update(data)
        self.count += len(data)
        self._target.write(data)


def _request(settings: HttpSettings, session: Session) -> tuple[str, dict[str, str]]:
    """The URL without user, and the headers of every request."""
    parts = urlsplit(settings.url)
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    # What is hashed is what is served: no transfer in another encoding.
    headers = {"User-Agent": "pybuild", **dict(settings.headers), "Accept-Encoding": "identity"}
    authorization = _authorization(settings, session, parts.hostname or "")
    if not authorization and parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = urllib3.make_headers(basic_auth=pair)["authorization"]
    if authorization:
        headers["Authorization"] = authorization
    return url, headers


def _authorization(settings: HttpSettings, session: Session, host: str) -> str:
    if settings.header_secret:
        value = session.secret(settings.header_secret)
        if value is None:
            raise SourceFetchError(
                f"{settings.shown}: secret {settings.header_secret}: not found",
                hint=f"pass it with --secret id={settings.header_secret},src=FILE",
            )
        return _line(settings.header_secret, value)
    for secret_id, prefix in ((f"HTTP_AUTH_TOKEN_{host}", "Bearer "), (f"HTTP_AUTH_HEADER_{host}", "")):
        value = session.secret(secret_id)
        if value is not None:
            return prefix + _line(secret_id, value)
    return ""


def _line(secret_id: str, value: bytes) -> str:
    text = value.decode("latin-1").strip("\r\n")
    if "\n" in text or "\r" in text:
        raise SourceFetchError(f"secret {secret_id}: a token or header has one line")
    return text


def _conditions(known: Known | None) -> dict[str, str]:
    if known is None:
        return {}
    if known.etag:
        return {"If-None-Match": f"{known.etag}, W/{known.etag}"}
    return {"If-Modified-Since": known.modified} if known.modified else {}


def _still_holds(answer: urllib3.BaseHTTPResponse, known: Known) -> bool:
    """Whether the answer says so; some servers send the content again, and the same ETag with it."""
    return answer.status == 304 or (answer.status == 200 and bool(known.etag) and _etag(answer) == known.etag)


def _etag(answer: urllib3.BaseHTTPResponse) -> str:
    return answer.headers.get("ETag", "").removeprefix("W/")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _attempts(error: urllib3.exceptions.HTTPError) -> int:
    """How often to try before this is the answer: a name or certificate does not get better, a port seldom."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, urllib3.exceptions.NameResolutionError | urllib3.exceptions.SSLError):
        return 1
    return 2 if isinstance(reason, urllib3.exceptions.NewConnectionError) else _ATTEMPTS


def _wait(attempt: int, headers: Mapping[str, str]) -> None:
    after = headers.get("Retry-After", "")
    delay = _BASE_DELAY_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311  # spreads retries
    time.sleep(min(float(after), 60.0) if after.isdigit() else delay)
