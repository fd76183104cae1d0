"""What a context's snapshot holds: kept beside it, so that the next one need only hold what differs.

The digest that a context's snapshot is called after says nothing of times and hard links; the listing says of what the
snapshot was really made. It is written before the snapshot is committed, and never again.
"""

from __future__ import annotations

import marshal
import stat as statmod
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pybuild.source.contextindex import FileHashes, Folder
from pybuild.source.contexttree import ContextTree, Listing, Status

_VERSION: Final = 1
_CHECK_BYTES: Final = 4
NAME: Final = "listing"
"""Of the file beside a snapshot's directory."""
_NOTHING: Final[Listing] = {}


class Difference(NamedTuple):
    """How to make one context of another, as far as snapshots keep them.

    Args:
        removed: paths that are gone, or where something of another kind is now. What was below them is not named.
        written: what to write, parents first. A hard link has all its names here, or none.
    """

    removed: list[str]
    written: list[str]

    @property
    def touched(self) -> set[str]:
        """The directories in which this changes something, those above them included; without the root."""
        found: set[str] = set()
        for path in (*self.removed, *self.written):
            above = _parent(path)
            while above and above not in found:
                found.add(above)
                above = _parent(above)
        return found


def difference(before: Mapping[str, Folder], tree: ContextTree, hashes: FileHashes) -> Difference:
    """What has to be done to a snapshot to make it one of another state of the context.

    Args:
        before: the snapshot's listing.
        tree: the context as it is.
        hashes: of its files.
    """
    removed: list[str] = []
    written: list[str] = []
    older = FileHashes(dict(before))
    for folder, listing in tree.folders.items():
        known = before.get(folder)
        if known == hashes.folders[folder]:
            continue
        last: Listing = marshal.loads(known[0]) if known is not None else _NOTHING  # noqa: S302  # written by pybuild
        for name, numbers in last.items():
            if name not in listing or statmod.S_IFMT(numbers[0]) != statmod.S_IFMT(listing[name][0]):
                removed.append(f"{folder}/{name}")
        for name, numbers in listing.items():
            path = f"{folder}/{name}"
            was, now = last.get(name), Status._make(numbers)
            if was is None or not _same(Status._make(was), now) or _hash(older, path, now) != _hash(hashes, path, now):
                written.append(path)
    return Difference(sorted(removed), sorted(_with_links(written, tree)))


def _same(was: Status, now: Status) -> bool:
    """Whether what a snapshot keeps of a path has not changed, but for the bytes of files."""
    if (was.st_mode, was.st_mtime_ns) != (now.st_mode, now.st_mtime_ns):
        return False
    if statmod.S_ISREG(now.st_mode):
        single = was.st_nlink == now.st_nlink == 1
        return single or was[4:7] == now[4:7]  # inode, device, names
    return statmod.S_ISDIR(now.st_mode)  # links and devices are as quickly written as compared


def _hash(hashes: FileHashes, path: str, status: Status) -> bytes:
    return hashes[path] if statmod.S_ISREG(status.st_mode) else b""


def _with_links(paths: list[str], tree: ContextTree) -> Iterable[str]:
    """The paths, and all other names of the files among them."""
    inodes = {(status.st_dev, status.st_ino) for path in paths if (status := _linked(tree, path)) is not None}
    if not inodes:
        return paths
    found = set(paths)
    for folder, listing in tree.folders.items():
        for name, numbers in listing.items():
            if (numbers[5], numbers[4]) in inodes:
                found.add(f"{folder}/{name}")
    return found


def _linked(tree: ContextTree, path: str) -> Status | None:
    folder, _, name = path.rpartition("/")
    status = Status._make(tree.folders[folder][name])
    return status if statmod.S_ISREG(status.st_mode) and status.st_nlink > 1 else None


def write_listing(path: Path, hashes: FileHashes) -> None:
    """Keep the listing of a context in a new file."""
    data = marshal.dumps((_VERSION, hashes.folders))
    path.write_bytes(zlib.crc32(data).to_bytes(_CHECK_BYTES, "big") + data)


def read_listing(path: Path) -> dict[str, Folder] | None:
    """The listing in a file; None when it is not there, or not whole: files of snapshots are not synced."""
    try:
        data = memoryview(path.read_bytes())
    except OSError:
        return None
    check, content = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
    if not content or zlib.crc32(content) != int.from_bytes(check, "big"):
        return None
    version, folders = marshal.loads(content)  # noqa: S302  # written here alone
    return folders if version == _VERSION else None


def _parent(path: str) -> str:
    return path[: path.rindex("/")]
