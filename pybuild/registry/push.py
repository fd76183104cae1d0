"""Writing to registries: blobs that are not there yet, then manifests.

OCI distribution specification, push. A blob that the registry has in another repository is mounted from there instead
of being sent; an upload whose connection drops goes on where the registry says it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Final
from urllib.parse import urljoin, urlsplit

import attrs
import urllib3

from pybuild.digest import Digest
from pybuild.errors import DigestMismatch, ExportError
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.reference import Reference
from pybuild.registry.auth import Credentials
from pybuild.registry.hosts import hosts_for
from pybuild.registry.transport import ATTEMPTS, Request, Transport, wait

_CHUNK: Final = 1 << 20

Open = Callable[[], BinaryIO]


class RegistryWriter:
    """Writes to one repository of a registry. Thread-safe.

    Args:
        reference: an image of the repository.
        credentials: gives user and password when the registry asks.
        insecure: take certificates that cannot be verified, and plain HTTP.
        mount_from: repositories (paths) of the same registry that may have the same blobs.
    """

    def __init__(
        self,
        reference: Reference,
        credentials: Callable[[], Credentials],
        *,
        insecure: bool = False,
        mount_from: Sequence[str] = (),
    ) -> None:
        domain = reference.domain
        self._transport = Transport(domain, hosts_for(domain, insecure=insecure), credentials, ExportError)
        self._path = reference.path
        self._subject = reference.familiar
        self._mount_from = [path for path in mount_from if path != reference.path]
        self._scope = f"repository:{self._path}:pull,push"

    def blob(self, descriptor: Descriptor, opened: Open, progress: Callable[[int], None] | None = None) -> bool:
        """Make the repository have a blob.

        Args:
            descriptor: which.
            opened: opens its bytes, at their start; called only when they must travel.
            progress: told the number of bytes sent so far.

        Returns:
            Whether its bytes travelled; False when the registry had it.

        Raises:
            ExportError: the registry refuses or fails, even after several attempts.
        """
        if self._has(f"/{self._path}/blobs/{descriptor.digest}"):
            return False
        location = self._start(descriptor.digest)
        if not location:
            return False
        self._upload(location, descriptor, opened, progress or (lambda _: None))
        return True

    def manifest(self, descriptor: Descriptor, data: bytes, tag: str = "") -> None:
        """Put a manifest or index under its digest, or under `tag`.

        Raises:
            ExportError: the registry refuses or fails.
            DigestMismatch: the registry has made something else of it.
        """
        answer = self._transport.send(
            self._request(
                "PUT",
                f"/{self._path}/manifests/{tag or descriptor.digest}",
                headers={"Content-Type": descriptor.media_type},
                body=lambda: data,
                expected=(200, 201, 202),
            )
        )
        stored = answer.headers.get("Docker-Content-Digest", "")
        if stored and stored != descriptor.digest:
            raise DigestMismatch(descriptor.digest, stored)

    # ------------------------------------------------------------------------------------------- uploads

    def _has(self, path: str) -> bool:
        # Some registries answer 401 or 403 to a HEAD of what is not there.
        answer = self._transport.send(self._request("HEAD", path, expected=(200, 404, 403)))
        return answer.status == 200

    def _start(self, digest: Digest) -> str:
        """Start an upload; returns where to send it, or "" when the blob was mounted from another repository."""
        path = f"/{self._path}/blobs/uploads/"
        for other in self._mount_from:
            request = self._request("POST", f"{path}?mount={digest}&from={other}", expected=(201, 202, 401, 403, 404))
            both = attrs.evolve(request, scope=f"{self._scope} repository:{other}:pull")
            answer = self._transport.send(both)
            if answer.status == 201:
                return ""
            if answer.status == 202:
                return self._location(answer, path)
        answer = self._transport.send(self._request("POST", path, expected=(202,)))
        return self._location(answer, path)

    def _upload(self, location: str, descriptor: Descriptor, opened: Open, progress: Callable[[int], None]) -> None:
        """PATCH with everything, from where the registry is, until it has it all; then PUT."""
        failures = done = 0
        while done < descriptor.size:
            start = done
            request = self._request(
                "PATCH",
                location,
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(descriptor.size - start),
                    "Content-Range": f"{start}-{descriptor.size - 1}",
                },
                body=lambda start=start: _read(opened, start, descriptor.size, progress),  # type: ignore[misc]
                expected=(202, 416),
            )
            try:
                answer = self._transport.send_to(location, request, attempts=1)
            except ExportError as error:
                failures += 1
                if failures >= ATTEMPTS or not error.transient:
                    raise
                wait(failures, {})
                location, done = self._where(location)
                failures = 0 if done > start else failures
                continue
            location = self._location(answer, location)
            if answer.status == 416:
                location, done = self._where(location)
                continue
            done = descriptor.size
        join = "&" if urlsplit(location).query else "?"
        request = self._request(
            "PUT", f"{location}{join}digest={descriptor.digest}", headers={"Content-Length": "0"}, expected=(201, 204)
        )
        self._transport.send_to(request.path, request)

    def _where(self, location: str) -> tuple[str, int]:
        """How much of an upload the registry has; a lost one starts again."""
        answer = self._transport.send_to(location, self._request("GET", location, expected=(204, 404)))
        if answer.status == 404:
            path = f"/{self._path}/blobs/uploads/"
            return self._location(self._transport.send(self._request("POST", path, expected=(202,))), path), 0
        last = answer.headers.get("Range", "").rpartition("-")[2]
        return self._location(answer, location), int(last) + 1 if last.isdigit() and last != "0" else 0

    @staticmethod
    def _location(answer: urllib3.BaseHTTPResponse, asked: str) -> str:
        place = answer.headers.get("Location", "")
        return urljoin(answer.url or asked, place) if place else asked

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: Callable[[], bytes | Iterator[bytes]] | None = None,
        expected: Sequence[int],
    ) -> Request:
        return Request(
            method=method,
            path=path,
            scope=self._scope,
            subject=self._subject,
            action="push",
            headers=headers or {},
            body=body,
            expected=expected,
        )


def _read(opened: Open, start: int, size: int, progress: Callable[[int], None]) -> Iterator[bytes]:
    with opened() as file:
        file.seek(start)
        while data := file.read(_CHUNK):
            yield data
            start += len(data)
            progress(min(start, size))
