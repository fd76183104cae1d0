"""Blobs of the client, by digest: OCI image layouts as sources, and directories that take caches and images.

containerd's content service (api/services/content/v1), of which the engine chooses a store by name in the metadata
(session/content). Writes appear when they are complete and have the digest that was promised.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from pybuild.engine.buildkit.pb import content_pb2 as pb
from pybuild.protocols import Refused, RpcHandler

_STORE: Final = "buildkit-attachable-store-id"
_CHUNK: Final = 1 << 20
_DIGEST: Final = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")


@attrs.frozen(kw_only=True)
class BlobDirectory:
    """The blobs of an OCI image layout.

    Args:
        path: the layout's directory; blobs are in `blobs/ALGORITHM/HEX` below it.
        writable: whether an engine may add to it.
    """

    path: Path
    writable: bool = False

    def blob(self, digest: str) -> Path:
        """Where a blob is, or would be. Raises Refused for what is no digest."""
        if not _DIGEST.fullmatch(digest):
            raise Refused("INVALID_ARGUMENT", f'"{digest}" is no digest')
        algorithm, _, encoded = digest.partition(":")
        return self.path / "blobs" / algorithm / encoded


class Content:
    """See protocols.Attachable.

    Args:
        stores: directories by the name that the engine uses, such as `oci:base`.
    """

    service = "containerd.services.content.v1.Content"

    def __init__(self, stores: Mapping[str, BlobDirectory]) -> None:
        self._stores = dict(stores)

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {
            "Info": self._info,
            "Read": self._read,
            "List": self._list,
            "Status": self._status,
            "ListStatuses": self._list_statuses,
            "Update": self._update,
            "Write": self._write,
            "Abort": self._abort,
        }

    def _store(self, metadata: Mapping[str, Sequence[str]]) -> BlobDirectory:
        name = next(iter(metadata.get(_STORE, ())), "")
        found = self._stores.get(name)
        if found is None:
            raise Refused("NOT_FOUND", f"unknown store {name}")
        return found

    def _info(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        digest = pb.InfoRequest.FromString(next(requests)).digest
        yield pb.InfoResponse(info=_info_of(self._store(metadata), digest)).SerializeToString()

    def _read(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        wanted = pb.ReadContentRequest.FromString(next(requests))
        with _opened(self._store(metadata).blob(wanted.digest), wanted.digest) as file:
            size = os.fstat(file.fileno()).st_size
            left = min(wanted.size or size, size - wanted.offset)
            at = wanted.offset
            file.seek(at)
            while left > 0 and (data := file.read(min(left, _CHUNK))):
                yield pb.ReadContentResponse(offset=at, data=data).SerializeToString()
                at += len(data)
                left -= len(data)

    def _list(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        next(requests, None)
        store = self._store(metadata)
        for algorithm in ("sha256", "sha512"):
            with contextlib.suppress(OSError):
                for path in sorted((store.path / "blobs" / algorithm).iterdir()):
                    found = _info_of(store, f"{algorithm}:{path.name}")
                    yield pb.ListContentResponse(info=[found]).SerializeToString()

    def _status(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        self._store(metadata)
        ref = pb.StatusRequest.FromString(next(requests)).ref
        yield from _not_found(f"a write of {ref}")

    def _list_statuses(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        next(requests, None)
        self._store(metadata)
        yield pb.ListStatusesResponse().SerializeToString()

    def _update(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        """Labels are for a store's own collector of garbage, which a plain directory does not have."""
        digest = pb.UpdateRequest.FromString(next(requests)).info.digest
        yield pb.UpdateResponse(info=_info_of(self._store(metadata), digest)).SerializeToString()

    def _abort(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        next(requests, None)
        self._store(metadata)
        yield b""

    def _write(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        store = self._store(metadata)
        if not store.writable:
            raise Refused("PERMISSION_DENIED", f'nothing is written to "{store.path}"')
        with contextlib.closing(_Write(store)) as write:
            for data in requests:
                yield write.take(pb.WriteContentRequest.FromString(data)).SerializeToString()


def _info_of(store: BlobDirectory, digest: str) -> pb.Info:
    try:
        status = store.blob(digest).stat()
    except OSError:
        raise Refused("NOT_FOUND", f"content {digest}: not found") from None
    made = pb.Info(digest=digest, size=status.st_size)
    made.created_at.FromNanoseconds(status.st_mtime_ns)
    made.updated_at.FromNanoseconds(status.st_mtime_ns)
    return made


def _not_found(what: str) -> Iterator[bytes]:
    raise Refused("NOT_FOUND", f"{what}: not found")


def _opened(path: Path, digest: str) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError:
        raise Refused("NOT_FOUND", f"content {digest}: not found") from None


class _Write:
    """One blob on its way in."""

    def __init__(self, store: BlobDirectory) -> None:
        self._store = store
        self._ref = ""
        self._expected = ""
        self._total = 0
        self._offset = 0
        self._hash = hashlib.sha256()
        self._staging = store.path / "ingest" / os.urandom(12).hex()
        self._file: BinaryIO | None = None

    def take(self, request: pb.WriteContentRequest) -> pb.WriteContentResponse:
        """Do what a message asks."""
        self._ref = request.ref or self._ref
        self._expected = request.expected or self._expected
        self._total = request.total or self._total
        if self._expected and self._store.blob(self._expected).exists() and request.action != pb.STAT:
            raise Refused("ALREADY_EXISTS", f"content {self._expected}: already exists")
        if request.data:
            self._add(request)
        if request.action == pb.COMMIT:
            self._commit()
        return pb.WriteContentResponse(
            action=request.action, offset=self._offset, total=self._total, digest=f"sha256:{self._hash.hexdigest()}"
        )

    def _add(self, request: pb.WriteContentRequest) -> None:
        if request.offset < self._offset:  # the engine starts again
            self._file = None
            self._hash, self._offset = hashlib.sha256(), 0
        if request.offset != self._offset:
            raise Refused("OUT_OF_RANGE", f"write at {request.offset}, {self._offset} bytes are here")
        self._opened().write(request.data)
        self._hash.update(request.data)
        self._offset += len(request.data)

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._staging.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._staging.open("wb")
        return self._file

    def _commit(self) -> None:
        self._opened().close()
        found = f"sha256:{self._hash.hexdigest()}"
        if self._expected and found != self._expected:
            raise Refused("FAILED_PRECONDITION", f"unexpected commit digest {found}, expected {self._expected}")
        if self._total and self._offset != self._total:
            raise Refused("FAILED_PRECONDITION", f"unexpected commit size {self._offset}, expected {self._total}")
        target = self._store.blob(found)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._staging.replace(target)

    def close(self) -> None:
        """Discard what was not committed."""
        if self._file is not None:
            self._file.close()
        self._staging.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._staging.parent.rmdir()
