"""Reading from registries: manifests and blobs, verified, with resumed downloads.

OCI distribution specification, pull.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

import attrs
import urllib3

from pybuild.digest import Digest, parse_digest, sha256
from pybuild.errors import DigestMismatch, SourceFetchError
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.reference import Reference
from pybuild.registry.auth import Credentials
from pybuild.registry.hosts import hosts_for
from pybuild.registry.transport import ATTEMPTS, Request, Transport, wait
from pybuild.values import Value

_ACCEPT: Final = ", ".join(sorted(mediatypes.INDEXES) + sorted(mediatypes.MANIFESTS) + ["*/*"])
_MAX_MANIFEST: Final = 4 << 20
_CHUNK: Final = 1 << 20


class Sink(Protocol):
    """What takes the bytes of a blob."""

    def write(self, data: bytes, /) -> object:
        """Take `data`."""
        ...


@attrs.frozen(kw_only=True)
class Fetched(Value):
    """A manifest or index: its descriptor and its bytes."""

    descriptor: Descriptor
    data: bytes


class RegistryClient:
    """Reads from the registry of one domain. Thread-safe.

    Args:
        domain: as in references, with its port.
        credentials: gives user and password when the registry asks.
        insecure: take certificates that cannot be verified, and plain HTTP.
    """

    def __init__(self, domain: str, credentials: Callable[[], Credentials], *, insecure: bool = False) -> None:
        self._transport = Transport(domain, hosts_for(domain, insecure=insecure), credentials, SourceFetchError)

    def digest(self, reference: Reference) -> Digest | None:
        """The digest of the manifest that a tag stands for now; None when the registry does not tell.

        Raises:
            SourceFetchError: there is no such image, or the registry refuses or fails.
        """
        text = self._manifest("HEAD", reference, "resolve").headers.get("Docker-Content-Digest", "")
        return parse_digest(text) if text else None

    def manifest(self, reference: Reference) -> Fetched:
        """A manifest or index by tag or digest, verified.

        Raises:
            SourceFetchError: as `digest`.
            DigestMismatch: it is not what the digest says.
        """
        answer = self._manifest("GET", reference, "pull" if reference.digest else "resolve")
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
        while done < descriptor.size or not done:
            answer = self._blob(reference, descriptor, done)
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
                if failures >= ATTEMPTS:
                    raise SourceFetchError(
                        f"cannot reach {reference.domain} for {reference.familiar}: the download broke off: {error}",
                        transient=True,
                        hint="check the network, and try again",
                    ) from error
                wait(failures, {})
            finally:
                answer.release_conn()
            if not descriptor.size or (done < descriptor.size and done == before and not failures):
                break
        found = f"{digest.name}:{digest.hexdigest()}"
        if found != descriptor.digest:
            raise DigestMismatch(descriptor.digest, found)

    def _manifest(self, method: str, reference: Reference, action: str) -> urllib3.BaseHTTPResponse:
        return self._transport.send(
            Request(
                method=method,
                path=f"/{reference.path}/manifests/{reference.digest or reference.tag}",
                scope=_scope(reference),
                subject=reference.familiar,
                action=action,
                headers={"Accept": _ACCEPT},
            )
        )

    def _blob(self, reference: Reference, descriptor: Descriptor, start: int) -> urllib3.BaseHTTPResponse:
        return self._transport.send(
            Request(
                method="GET",
                path=f"/{reference.path}/blobs/{descriptor.digest}",
                scope=_scope(reference),
                subject=reference.familiar,
                headers={"Range": f"bytes={start}-"} if start else {},
                stream=True,
            )
        )


def _scope(reference: Reference) -> str:
    return f"repository:{reference.path}:pull"
