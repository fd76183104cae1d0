"""Files and disk use as values: one entry, what a directory holds, where the bytes are."""

from __future__ import annotations

import stat as statmod
from collections.abc import Sequence
from datetime import datetime
from typing import Final, overload

import attrs

from pybuild.results.tables import html_table, size_text, text_table
from pybuild.shown import Shown

_TYPE_BITS: Final = {
    "file": statmod.S_IFREG,
    "directory": statmod.S_IFDIR,
    "symlink": statmod.S_IFLNK,
    "character device": statmod.S_IFCHR,
    "block device": statmod.S_IFBLK,
    "fifo": statmod.S_IFIFO,
    "socket": statmod.S_IFSOCK,
}


@attrs.frozen(kw_only=True)
class FileInfo(Shown):
    """One path of a file system. `size` is in bytes, 0 for what is no regular file; `target` is a link's text."""

    path: str
    kind: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime: datetime
    target: str = ""

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.kind == "directory"

    @property
    def mode_text(self) -> str:
        """Kind and permissions as `ls -l` shows them."""
        return statmod.filemode(_TYPE_BITS[self.kind] | self.mode)

    def cells(self) -> tuple[str, ...]:
        """The cells of a row of a listing."""
        name = (self.name or "/") + (f" -> {self.target}" if self.target else "/" if self.is_dir and self.name else "")
        size = "" if self.kind != "file" else size_text(self.size)
        return self.mode_text, f"{self.uid}:{self.gid}", size, f"{self.mtime:%Y-%m-%d %H:%M}", name


class Listing(Sequence[FileInfo]):
    """What a directory holds.

    Args:
        entries: one per file, sorted by name.
    """

    _HEADING: Final = ("MODE", "OWNER", "SIZE", "CHANGED", "NAME")

    def __init__(self, entries: Sequence[FileInfo]) -> None:
        self._entries = tuple(entries)

    @property
    def names(self) -> list[str]:
        """The names alone."""
        return [entry.name for entry in self._entries]

    @overload
    def __getitem__(self, index: int) -> FileInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Listing: ...
    def __getitem__(self, index: int | slice) -> FileInfo | Listing:
        return Listing(self._entries[index]) if isinstance(index, slice) else self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return text_table(self._HEADING, [entry.cells() for entry in self._entries], right=[2])

    def _repr_html_(self) -> str:
        return html_table(self._HEADING, [entry.cells() for entry in self._entries], right=[2])


@attrs.frozen(kw_only=True)
class Usage(Shown):
    """The bytes and the number of regular files in and below one path."""

    path: str
    size: int
    files: int


@attrs.frozen(kw_only=True, repr=False)
class DiskUse:
    """Where the bytes of a directory are, largest first."""

    path: str
    entries: tuple[Usage, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(entry.size for entry in self.entries)

    @property
    def files(self) -> int:
        """Regular files in all."""
        return sum(entry.files for entry in self.entries)

    def _rows(self) -> list[tuple[str, ...]]:
        total = self.size or 1
        rows = [(size_text(e.size), f"{e.size / total:.0%}", str(e.files), e.path) for e in self.entries]
        return [*rows, (size_text(self.size), "", str(self.files), f"all of {self.path}")]

    def __repr__(self) -> str:
        return text_table(("SIZE", "SHARE", "FILES", "PATH"), self._rows(), right=[0, 1, 2])

    def _repr_html_(self) -> str:
        return html_table(("SIZE", "SHARE", "FILES", "PATH"), self._rows(), right=[0, 1, 2])
