"""The store's seams in memory. They pass the same conformance suites as the real ones."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import BinaryIO, Literal

from pybuild.digest import Digest, sha256
from pybuild.errors import DigestMismatch, LeaseExpired, NotFound
from pybuild.protocols import CacheRecord, ContentInfo


class MemoryContentStore:
    """See protocols.ContentStore."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, tuple[bytes, float]] = {}

    def info(self, digest: Digest) -> ContentInfo:
        data, created = self._get(digest)
        return ContentInfo(digest=digest, size=len(data), created=created)

    def open(self, digest: Digest) -> BinaryIO:
        return io.BytesIO(self._get(digest)[0])

    def read(self, digest: Digest) -> bytes:
        return self._get(digest)[0]

    @contextmanager
    def writer(self, *, digest: Digest | None = None, size: int | None = None) -> Iterator["MemoryBlobWriter"]:
        yield MemoryBlobWriter(self, digest, size)

    def delete(self, digest: Digest) -> None:
        self._get(digest)
        del self.blobs[digest]

    def walk(self) -> Iterator[ContentInfo]:
        yield from [self.info(digest) for digest in self.blobs]

    def _get(self, digest: Digest) -> tuple[bytes, float]:
        if digest not in self.blobs:
            raise NotFound(f"content {digest} not found")
        return self.blobs[digest]


class MemoryBlobWriter:
    def __init__(self, store: MemoryContentStore, digest: Digest | None, size: int | None) -> None:
        self._store, self._digest, self._size = store, digest, size
        self._data = bytearray()

    def write(self, data: bytes | memoryview, /) -> int:
        self._data += data
        return len(data)

    @property
    def digest(self) -> Digest:
        return sha256(bytes(self._data))

    def commit(self) -> ContentInfo:
        digest = self.digest
        if self._size is not None and len(self._data) != self._size:
            raise DigestMismatch(f"{self._size} bytes", f"{len(self._data)} bytes")
        if self._digest is not None and digest != self._digest:
            raise DigestMismatch(self._digest, digest)
        self._store.blobs[digest] = (bytes(self._data), time.time())
        return self._store.info(digest)


class MemoryLeases:
    """See protocols.LeaseManager. `held` has what each living lease refers to."""

    def __init__(self) -> None:
        self.held: dict[str, set[tuple[str, str]]] = {}
        self.records: dict[str, CacheRecord] = {}
        self._count = 0

    @contextmanager
    def lease(self, *, ttl: timedelta | None = None) -> Iterator["MemoryLease"]:
        del ttl  # memory does not outlive a crash
        self._count += 1
        lease = MemoryLease(self, f"lease-{self._count}")
        self.held[lease.id] = set()
        try:
            yield lease
        finally:
            del self.held[lease.id]


class MemoryLease:
    def __init__(self, leases: MemoryLeases, lease_id: str) -> None:
        self.id = lease_id
        self._leases = leases

    def add(self, kind: Literal["content", "snapshot", "result"], key: str) -> None:
        if self.id not in self._leases.held:
            raise LeaseExpired(f"lease {self.id} has ended")
        self._leases.held[self.id].add((kind, key))

    def hold_result(self, result_key: str) -> CacheRecord | None:
        record = self._leases.records.get(result_key)
        if record is not None:
            self.add("result", result_key)
            if record.ref.snapshot:
                self.add("snapshot", record.ref.snapshot)
        return record
