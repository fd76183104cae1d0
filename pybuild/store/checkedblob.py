"""Blobs that are looked at while they are read, so that nothing leaves the store that was damaged on the disk."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

from pybuild.digest import Digest
from pybuild.errors import StoreDamaged


class CheckedBlob(io.FileIO):
    """A blob's file. When its last byte is read and it does not have its digest, it is removed and an error says so.

    Whoever needs the blob makes it again. Reading from somewhere else than the start leaves the check out. Hashing
    costs less than what is done with the bytes: they are written, or sent.

    Args:
        path: the file.
        digest: what it should have.

    Raises:
        FileNotFoundError: it is not there.
        StoreDamaged: by `read`, see above.
    """

    def __init__(self, path: Path, digest: Digest) -> None:
        super().__init__(path)
        self._digest = digest
        self._size = os.fstat(self.fileno()).st_size
        self._start()

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; see the class."""
        data = super().read(-1 if size is None else size) or b""
        if self._checking:
            self._sum.update(data)
            self._left -= len(data)
            if self._left <= 0 or not data:
                self._check()
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go somewhere; only from the start everything can be checked."""
        position = super().seek(offset, whence)
        self._start()
        self._checking = position == 0
        return position

    def _start(self) -> None:
        self._sum = hashlib.new(self._digest.partition(":")[0])
        self._left = self._size
        self._checking = True

    def _check(self) -> None:
        self._checking = False
        found = self._sum.hexdigest()
        if found == self._digest.partition(":")[2]:
            return
        Path(os.fsdecode(self.name)).unlink(missing_ok=True)
        raise StoreDamaged(
            f"blob {self._digest} was damaged on the disk",
            hint="it is removed now: build again, and what is missing is made again",
        )
