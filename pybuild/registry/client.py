"""Reading from registries: manifests and blobs, with authorization, retries, and resumed downloads.

OCI distribution specification, pull. Requests to other hosts, where registries keep their blobs, never carry the
registry's authorization.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

import attrs
import urllib3

from pybuild.digest import Digest, parse_digest, sha256
from pybuild.errors import DigestMismatch, SourceFetchError
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.reference import DEFAULT_DOMAIN, Reference
from pybuild.registry.auth import Authorizer, Credentials

DEFAULT_ENDPOINT: Final = "registry-1.docker.io"
_ACCEPT: Final = ", ".join(sorted(mediatypes.INDEXES) + sorted(mediatypes.MANIFESTS) + ["*/*"])
_MAX_MANIFEST: Final = 4 << 20
_CHUNK: Final = 1 << 20
_ATTEMPTS: Final = 5
_BASE_DELAY_SECONDS: Final = 0.25
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_TIMEOUT: Final = urllib3.Timeout(connect=15, read=60)
_MAX_REDIRECTS: Final = 8


class Sink(Protocol):
    """What takes the bytes of a blob."""

    def write(self, data: bytes, /) -> object:
        """Take `data`."""
        ...


@attrs.frozen(kw_only=True)
class Fetched:
    """A manifest or index: its descriptor and its bytes."""

    descriptor: Descriptor
    data: bytes


class RegistryClient:
    """Talks to the registry of one domain. Thread-safe.

    Args:
        domain: as in references, with its port.
        credentials: gives user and password when the registry asks.
        pool: makes requests; shared by clients.
    """

    def __init__(
        self, domain: str, credentials: Callable[[], Credentials], pool: urllib3.PoolManager | None = None
    ) -> None:
        self.domain = domain
        self._pool = pool or urllib3.PoolManager(maxsize=8, retries=False, timeout=_TIMEOUT)
        self._authorizer = Authorizer(self._pool, credentials)
        host = DEFAULT_ENDPOINT if domain == DEFAULT_DOMAIN else domain
        self._bases = [f"https://{host}"]
        if is_loopback(host):
            # Nobody between: a registry on this machine may do without TLS, as docker has it.
            self._bases = [f"http://{host}", f"https://{host}"]

    def digest(self, reference: Reference) -> Digest | None:
        """The digest of the manifest that a tag stands for now; None when the registry does not tell.

        Raises:
            SourceFetchError: there is no such image, or the registry refuses or fails.
        """
        answer = self._request("HEAD", reference, self._manifest_path(reference), {"Accept": _ACCEPT})
        text = answer.headers.get("Docker-Content-Digest", "")
        return parse_digest(text) if text else None

    def manifest(self, reference: Reference) -> Fetched:
        """A manifest or index by tag or digest, verified.

        Raises:
            SourceFetchError: as `digest`.
            DigestMismatch: it is not what the digest says.
        """
        answer = self._request("GET", reference, self._manifest_path(reference), {"Accept": _ACCEPT})
        data = answer.data
        if len(data) > _MAX_MANIFEST:
            raise SourceFetchError(f"{reference.familiar}: a manifest of {len(data)} bytes is not plausible")
        found = sha256(data)
        if reference.digest is not None and reference.digest.startswith("sha256:") and found != reference.digest:
            raise DigestMismatch(reference.digest, found)
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return Fetched(descriptor=Descriptor(media_type=media_type, digest=found, size=len(data)), data=data)

    def blob(
        self, reference: Reference, descriptor: Descriptor, sink: Sink, progress: Callable[[int], None] | None = None
    ) -> None:
        """Download a blob into `sink`; a dropped connection goes on where it stopped.

        Args:
            reference: an image of the repository that has the blob.
            descriptor: which.
            sink: takes the bytes, which are verified here.
            progress: told the number of bytes so far.

        Raises:
            SourceFetchError: it cannot be had, not even after several attempts.
            DigestMismatch: the bytes are not what the digest says.
        """
        digest = hashlib.new(descriptor.digest.partition(":")[0])
        done = 0
        failures = 0
        path = f"/v2/{reference.path}/blobs/{descriptor.digest}"
        while done < descriptor.size or not done:
            headers = {"Range": f"bytes={done}-"} if done else {}
            answer = self._request("GET", reference, path, headers, stream=True)
            skip = done if done and answer.status != 206 else 0
            before = done
            try:
                for data in answer.stream(_CHUNK):
                    fresh = data[skip:] if skip else data
                    skip = max(skip - len(data), 0)
                    sink.write(fresh)
                    digest.update(fresh)
                    done += len(fresh)
                    if progress is not None:
                        progress(done)
            except urllib3.exceptions.HTTPError as error:
                failures = 0 if done > before else failures + 1
                if failures >= _ATTEMPTS:
                    raise _transient(reference, f"the download broke off: {error}") from error
                _wait(failures, {})
            finally:
                answer.release_conn()
            if not descriptor.size or (done < descriptor.size and done == before and not failures):
                break
        found = f"{digest.name}:{digest.hexdigest()}"
        if found != descriptor.digest:
            raise DigestMismatch(descriptor.digest, found)

    # ------------------------------------------------------------------------------------------ requests

    @staticmethod
    def _manifest_path(reference: Reference) -> str:
        return f"/v2/{reference.path}/manifests/{reference.digest or reference.tag}"

    def _request(
        self, method: str, reference: Reference, path: str, headers: Mapping[str, str], *, stream: bool = False
    ) -> urllib3.BaseHTTPResponse:
        scope = f"repository:{reference.path}:pull"
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                answer = self._once(method, path, headers, scope, stream=stream)
            except urllib3.exceptions.HTTPError as error:
                if last or isinstance(error, urllib3.exceptions.NameResolutionError):
                    raise _transient(reference, _reason(error)) from error
                _wait(attempt, {})
                continue
            if answer.status in _RETRIED and not last:
                answer.drain_conn()
                _wait(attempt, answer.headers)
                continue
            if answer.status in (200, 206):
                return answer
            raise _refused(reference, answer)
        raise AssertionError("unreachable")

    def _once(
        self, method: str, path: str, headers: Mapping[str, str], scope: str, *, stream: bool
    ) -> urllib3.BaseHTTPResponse:
        answer = self._send(method, path, headers, self._authorizer.header(scope), stream=stream)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status == 401 and challenge and self._authorizer.challenged(challenge, scope):
            answer.drain_conn()
            answer = self._send(method, path, headers, self._authorizer.header(scope), stream=stream)
        return answer

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], authorization: str, *, stream: bool
    ) -> urllib3.BaseHTTPResponse:
        for number, base in enumerate(self._bases):
            try:
                answer = self._follow(method, base + path, headers, authorization, stream=stream)
            except (urllib3.exceptions.HTTPError, OSError):
                if number == len(self._bases) - 1:
                    raise
                continue
            self._bases = [base]
            return answer
        raise AssertionError("unreachable")

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], authorization: str, *, stream: bool
    ) -> urllib3.BaseHTTPResponse:
        origin = urlsplit(url).netloc
        for _ in range(_MAX_REDIRECTS):
            sent = dict(headers)
            if authorization and urlsplit(url).netloc == origin:
                sent["Authorization"] = authorization
            answer = self._pool.request(
                method, url, headers=sent, redirect=False, retries=False, preload_content=not stream, timeout=_TIMEOUT
            )
            place = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not place:
                return answer
            answer.drain_conn()
            url = urljoin(url, place)
        raise urllib3.exceptions.HTTPError("too many redirects")


def is_loopback(host: str) -> bool:
    """Whether a host with an optional port is this machine.

    Example:
        >>> is_loopback("localhost:5000"), is_loopback("127.0.0.2"), is_loopback("registry:5000")
        (True, True, False)
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
    return name in ("localhost", "[::1]") or name.startswith("127.")


def _wait(attempt: int, headers: Mapping[str, str]) -> None:
    after = headers.get("Retry-After", "")
    delay = _BASE_DELAY_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311  # spreads retries, hides nothing
    time.sleep(min(float(after), 60.0) if after.isdigit() else delay)


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    cause = getattr(error, "reason", None) or error
    return str(cause).rpartition(": ")[2] if isinstance(cause, urllib3.exceptions.NewConnectionError) else str(cause)


def _transient(reference: Reference, reason: str) -> SourceFetchError:
    return SourceFetchError(
        f"cannot reach {reference.domain} for {reference.familiar}: {reason}",
        transient=True,
        hint="check the name and the network, and try again",
    )


def _refused(reference: Reference, answer: urllib3.BaseHTTPResponse) -> SourceFetchError:
    status = answer.status
    answer.drain_conn()
    name = reference.familiar
    if status == 404:
        return SourceFetchError(f"{name}: not found in {reference.domain}", hint="check the name and the tag")
    if status in (401, 403):
        return SourceFetchError(
            f"{name}: access denied by {reference.domain} (status {status})",
            hint=f"it may not exist, or needs `docker login {reference.domain}`",
        )
    if status == 429:
        return SourceFetchError(f"{name}: {reference.domain} limits how often it is asked (status 429)", transient=True)
    return SourceFetchError(f"{name}: {reference.domain} answered with status {status}", transient=status in _RETRIED)
