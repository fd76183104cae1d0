"""Blobs by digest, in the form of an OCI image layout: blobs/<algorithm>/<hex>.

A blob is written to ingest/ and hashed on the way, synced, and renamed to its name: it is complete and verified, or
not there. Nobody writes to it afterwards. What killed processes leave in ingest/ is named after their owner id
(`lease.py`) and removed by `gc.py`. Mirrors containerd's content store.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pybuild.digest import Digest
from pybuild.errors import DigestMismatch, NotFound
from pybuild.protocols import ContentInfo
from pybuild.store.space import reporting_full

_numbers = itertools.count(1)


class FileBlobWriter:
    """See protocols.BlobWriter; made by `FileContentStore.writer`."""

    def __init__(self, store: FileContentStore, path: Path, digest: Digest | None, size: int | None) -> None:
        self._store = store
        self._path = path
        self._expected_digest = digest
        self._expected_size = size
        self._hash = hashlib.new(digest.partition(":")[0] if digest is not None else "sha256")
        self._size = 0
        self._file = path.open("xb", buffering=1 << 18)

    def write(self, data: bytes | memoryview, /) -> int:
        """See protocols.BlobWriter. Raises StoreFull."""
        with reporting_full(self._store.root):
            self._file.write(data)
        self._hash.update(data)
        self._size += len(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest(f"{self._hash.name}:{self._hash.hexdigest()}")

    def commit(self) -> ContentInfo:
        """See protocols.BlobWriter. Raises DigestMismatch, StoreFull."""
        digest = self.digest
        if self._expected_size is not None and self._size != self._expected_size:
            raise DigestMismatch(f"{self._expected_size} bytes", f"{self._size} bytes")
        if self._expected_digest is not None and digest != self._expected_digest:
            raise DigestMismatch(self._expected_digest, digest)
        with reporting_full(self._store.root):
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o444)
            os.fsync(self._file.fileno())
            self._file.close()
            place = self._store.path(digest)
            place.parent.mkdir(exist_ok=True)
            self._path.replace(place)
        return self._store.info(digest)

    def discard(self) -> None:
        """Forget what was written, unless it was committed."""
        with reporting_full(self._store.root):
            try:
                self._file.close()
            finally:
                self._path.unlink(missing_ok=True)


class FileContentStore:
    """See protocols.ContentStore.

    Args:
        root: an OCI layout's directory with blobs/ and ingest/ in it.
        owner: gives the id under which this process makes unfinished things.
    """

    def __init__(self, root: Path, owner: Callable[[], str]) -> None:
        self.root = root
        self._owner = owner

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        algorithm, _, encoded = digest.partition(":")
        return self.root / "blobs" / algorithm / encoded

    def info(self, digest: Digest) -> ContentInfo:
        """See protocols.ContentStore."""
        try:
            status = self.path(digest).stat()
        except FileNotFoundError:
            raise _missing(digest) from None
        return ContentInfo(digest=digest, size=status.st_size, created=status.st_mtime)

    def open(self, digest: Digest) -> BinaryIO:
        """See protocols.ContentStore."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise _missing(digest) from None

    def checked(self, digest: Digest) -> BinaryIO:
        """A reader that complains at the end when the blob was damaged on the disk; see `CheckedBlob`.

        Raises:
            NotFound: there is no such blob.
        """
        from pybuild.store.checkedblob import CheckedBlob

        try:
            return CheckedBlob(self.path(digest), digest)
        except FileNotFoundError:
            raise _missing(digest) from None

    def read(self, digest: Digest) -> bytes:
        """See protocols.ContentStore."""
        with self.open(digest) as file:
            data = file.read()
        algorithm = digest.partition(":")[0]
        actual = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        if actual != digest:
            raise DigestMismatch(digest, actual)
        return data

    @contextmanager
    def writer(self, *, digest: Digest | None = None, size: int | None = None) -> Generator[FileBlobWriter, None, None]:
        """See protocols.ContentStore."""
        path = self.root / "ingest" / f"{self._owner()}-{next(_numbers)}"
        with reporting_full(self.root):
            writer = FileBlobWriter(self, path, digest, size)
        try:
            yield writer
        finally:
            writer.discard()

    def delete(self, digest: Digest) -> None:
        """See protocols.ContentStore."""
        try:
            self.path(digest).unlink()
        except FileNotFoundError:
            raise _missing(digest) from None

    def drop_damaged(self, digest: Digest) -> bool:
        """Delete a blob if it does not have its digest any more; reads all of it.

        Returns:
            Whether it was damaged, or is not there.
        """
        algorithm, _, encoded = digest.partition(":")
        try:
            with self.path(digest).open("rb") as file:
                if hashlib.file_digest(file, algorithm).hexdigest() == encoded:
                    return False
            self.path(digest).unlink()
        except FileNotFoundError:
            return True
        return True

    def walk(self) -> Iterator[ContentInfo]:
        """See protocols.ContentStore."""
        for algorithm in sorted((self.root / "blobs").iterdir()):
            for path in sorted(algorithm.iterdir()):
                try:
                    yield self.info(Digest(f"{algorithm.name}:{path.name}"))
                except NotFound:
                    continue  # deleted meanwhile


def _missing(digest: Digest) -> NotFound:
    return NotFound(f"content {digest} not found")
