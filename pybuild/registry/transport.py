"""Requests to the servers of one registry: which server, authorization, redirects, retries.

Requests that are redirected to other hosts, where registries keep their blobs, never carry the registry's
authorization. Several configured servers are asked in turn until one has what is wanted.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

import attrs
import urllib3

from pybuild.errors import PybuildError
from pybuild.registry.auth import Authorizer, Credentials
from pybuild.registry.hosts import Host
from pybuild.values import Value

ATTEMPTS: Final = 5
RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_BASE_DELAY_SECONDS: Final = 0.25
_TIMEOUT: Final = urllib3.Timeout(connect=15, read=60)
_MAX_REDIRECTS: Final = 8
_TLS_HINTS: Final = (b"HTTP request to an HTTPS server", b"HTTP request was sent to HTTPS port")

Body = bytes | Iterable[bytes]


class Failure(Protocol):
    """Makes the error of a request that failed for good."""

    def __call__(self, message: str, *, transient: bool = False, hint: str = "") -> PybuildError:
        """The error to raise."""
        ...


@attrs.frozen(kw_only=True)
class Request(Value):
    """One request. `path` follows the host's `/v2`; an absolute URL stays as it is.

    `body` makes the body anew for each attempt. `subject` names what it is about, in messages. `expected` are the
    statuses that the caller deals with.
    """

    method: str
    path: str
    scope: str
    subject: str
    action: str = "pull"
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: Callable[[], Body] | None = None
    stream: bool = False
    expected: Collection[int] = (200, 206)


class _Server:
    """One host with its connections and what is known of its authorization."""

    def __init__(self, host: Host, credentials: Callable[[], Credentials]) -> None:
        self.host = host
        self.authorizer = Authorizer(self.pool, credentials)
        self.reachable = True
        self._pool: urllib3.PoolManager | None = None
        self._lock = threading.Lock()

    def pool(self) -> urllib3.PoolManager:
        """Its connections, made when the first request needs them: loading certificates takes a while."""
        with self._lock:
            if self._pool is None:
                self._pool = pool_for(self.host)
            return self._pool


class Transport:
    """Talks to the registry of one domain. Thread-safe.

    Args:
        domain: as in references, for messages.
        hosts: the servers, in order.
        credentials: gives user and password when a server asks.
        failure: makes the errors.
    """

    def __init__(
        self, domain: str, hosts: Iterable[Host], credentials: Callable[[], Credentials], failure: Failure
    ) -> None:
        self.domain = domain
        self._servers = [_Server(host, credentials) for host in hosts]
        self._failure = failure

    def send(self, request: Request) -> urllib3.BaseHTTPResponse:
        """The answer to `request`, whose status is among the expected ones.

        Raises:
            PybuildError: what `failure` makes, when no server gave such an answer, not even after several attempts.
        """
        able = [server for server in self._servers if request.action in server.host.capabilities]
        problem: PybuildError | None = None
        asked: _Server | None = None
        for server in [one for one in able if one.reachable] or able:
            if server.host.alternative and asked is not None and asked.reachable:
                continue
            asked = server
            try:
                return self._from(server, request, ATTEMPTS)
            except _Refused as refused:
                # What the last server says counts: it is the registry itself, the others are mirrors.
                problem = refused.error
                server.reachable = refused.reachable
        if problem is None:
            problem = self._failure(f"{self.domain}: no configured host may be used to {request.action}")
        raise problem

    def send_to(self, url: str, request: Request, attempts: int = ATTEMPTS) -> urllib3.BaseHTTPResponse:
        """As `send`, to the server that gave `url` before (an upload's location)."""
        server = next((one for one in self._servers if one.host.serves(url)), self._servers[-1])
        try:
            return self._from(server, attrs.evolve(request, path=url), attempts)
        except _Refused as refused:
            raise refused.error from None

    def _from(self, server: _Server, request: Request, attempts: int) -> urllib3.BaseHTTPResponse:
        for attempt in range(attempts):
            last = attempt == attempts - 1
            try:
                answer = self._authorized(server, request)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if last or _hopeless(error):
                    raise _Refused(self._unreachable(request, error), reachable=False) from error
                wait(attempt, {})
                continue
            if answer.status in request.expected:
                return answer
            if answer.status in RETRIED and not last:
                answer.drain_conn()
                wait(attempt, answer.headers)
                continue
            wrong_protocol = answer.status == 400 and not request.stream and _wants_tls(answer.data)
            raise _Refused(self._refused(request, answer), reachable=not wrong_protocol)
        raise AssertionError("unreachable")

    def _authorized(self, server: _Server, request: Request) -> urllib3.BaseHTTPResponse:
        sent = server.authorizer.header(request.scope)
        answer = self._follow(server, request, sent)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status == 401 and challenge and server.authorizer.challenged(challenge, request.scope, sent):
            answer.drain_conn()
            answer = self._follow(server, request, server.authorizer.header(request.scope))
        return answer

    def _follow(self, server: _Server, request: Request, authorization: str) -> urllib3.BaseHTTPResponse:
        absolute = "://" in request.path
        url = request.path if absolute else server.host.url + request.path
        origin = urlsplit(server.host.url).netloc
        for _ in range(_MAX_REDIRECTS):
            sent = {**dict(server.host.headers), **request.headers}
            if authorization and urlsplit(url).netloc == origin:
                sent["Authorization"] = authorization
            answer = server.pool().request(
                request.method,
                url,
                headers=sent,
                body=request.body() if request.body is not None else None,
                redirect=False,
                retries=False,
                preload_content=not request.stream,
            )
            answer.url = url
            place = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not place:
                return answer
            answer.drain_conn()
            url = urljoin(url, place)
        raise urllib3.exceptions.HTTPError("too many redirects")

    # ------------------------------------------------------------------------------------------ failures

    def _unreachable(self, request: Request, error: Exception) -> PybuildError:
        return self._failure(
            f"cannot reach {self.domain} for {request.subject}: {_reason(error)}",
            transient=True,
            hint="check the name and the network, and try again",
        )

    def _refused(self, request: Request, answer: urllib3.BaseHTTPResponse) -> PybuildError:
        status, subject, domain = answer.status, request.subject, self.domain
        answer.drain_conn()
        if status == 404:
            return self._failure(f"{subject}: not found in {domain}", hint="check the name and the tag")
        if status in (401, 403):
            return self._failure(
                f"{subject}: access denied by {domain} (status {status})",
                hint=f"it may not exist, or needs `docker login {domain}`",
            )
        if status == 429:
            return self._failure(f"{subject}: {domain} limits how often it is asked (status 429)", transient=True)
        return self._failure(f"{subject}: {domain} answered with status {status}", transient=status in RETRIED)


class _Refused(Exception):
    """One server did not do it; another one may."""

    def __init__(self, error: PybuildError, *, reachable: bool) -> None:
        super().__init__(error)
        self.error = error
        self.reachable = reachable


def pool_for(host: Host) -> urllib3.PoolManager:
    """Makes requests to a server with the certificates that are configured for it."""
    return urllib3.PoolManager(
        maxsize=8, retries=False, timeout=_TIMEOUT, ssl_context=_tls(host), headers=dict(host.headers)
    )


def wait(attempt: int, headers: Mapping[str, str]) -> None:
    """Sleep before another attempt: as long as the server asks, else longer each time, and never all at once."""
    after = headers.get("Retry-After", "")
    delay = _BASE_DELAY_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311  # spreads retries, hides nothing
    time.sleep(min(float(after), 60.0) if after.isdigit() else delay)


def _hopeless(error: Exception) -> bool:
    """Whether trying again cannot help: there is no such name, nobody listens, or the certificate is wrong."""
    reason = getattr(error, "reason", None) or error
    kinds = (urllib3.exceptions.NameResolutionError, ssl.SSLError, urllib3.exceptions.SSLError)
    refused = isinstance(reason, urllib3.exceptions.NewConnectionError) and "refused" in str(reason)
    return refused or isinstance(reason, kinds) or isinstance(error, kinds)


def _wants_tls(said: bytes) -> bool:
    return any(hint in said for hint in _TLS_HINTS)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    return str(cause).rpartition(": ")[2] if isinstance(cause, urllib3.exceptions.NewConnectionError) else str(cause)


def _tls(host: Host) -> ssl.SSLContext | None:
    if not host.url.startswith("https://"):
        return None
    context = ssl.create_default_context()
    if host.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in host.ca:
        context.load_verify_locations(path)
    for certificate, key in host.client:
        context.load_cert_chain(certificate, key)
    return context
