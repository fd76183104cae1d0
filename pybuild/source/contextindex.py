"""What is known of the files of a local directory: no file is opened that did not change.

The index keeps, for each directory, the numbers of what it holds (size, times, inode, mode), the hashes of its files,
and a digest of it all. A directory whose numbers are all the same is done with one comparison; in another one, the
files whose numbers are the same are not read again. A file that was changed a moment before it was read (its ctime
says so, whatever its mtime was set to) is read again next time: its times may not show another change.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import stat as statmod
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pybuild.digest import Digest
from pybuild.source.contexttree import ContextEntry, ContextTree, Listing, Numbers, in_order, unreadable
from pybuild.store.contenthash import hash_contents

_VERSION: Final = 5
_SETTLED_NS: Final = 100_000_000
_HASH_BYTES: Final = 32
Folder = tuple[bytes, bytes, bytes]
"""One directory: its listing as `marshal` writes it, the joined sha256 of its regular files in that order, and the
digest of paths, types, modes, link targets and bytes."""


class FileHashes(Mapping[str, bytes]):
    """The sha256 of every regular file of a context, by its path.

    Args:
        folders: the directories by their paths; the path of the root is "".
    """

    def __init__(self, folders: dict[str, Folder]) -> None:
        self.folders = folders
        self._known: dict[str, dict[str, bytes]] = {}

    @property
    def digest(self) -> Digest:
        """Of all that the context holds: paths, types, modes, link targets and bytes; no times, no owners."""
        whole = hashlib.sha256()
        for path in sorted(self.folders):
            name = os.fsencode(path)
            whole.update(b"%d:%b%b" % (len(name), name, self.folders[path][2]))
        return Digest(f"sha256:{whole.hexdigest()}")

    def __getitem__(self, path: str) -> bytes:
        folder, _, name = path.rpartition("/")
        return self._of(folder)[name]

    def __iter__(self) -> Iterator[str]:
        for folder in self.folders:
            for name in self._of(folder):
                yield f"{folder}/{name}"

    def __len__(self) -> int:
        return sum(len(hashes) for _, hashes, _ in self.folders.values()) // _HASH_BYTES

    def _of(self, folder: str) -> dict[str, bytes]:
        found = self._known.get(folder)
        if found is None:
            found = self._known[folder] = _hashes_of(self.folders[folder])
        return found


class ContextIndex:
    """The remembered hashes of one directory under one set of patterns.

    Args:
        path: the file that holds them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Folder] = {}
        self.snapshot = ""
        """The snapshot that was last made of this directory."""
        self.digests: dict[bytes, bytes] = {}
        """What is remembered of content digests: see `contextdigests.py`."""
        self._dirty = False
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
            version, *rest = marshal.loads(path.read_bytes())  # noqa: S302  # written by this class alone
            if version == _VERSION:
                self.snapshot, self.digests, self._known = rest

    def hashes(self, tree: ContextTree) -> FileHashes:
        """What every file holds; reads the bytes of changed files only.

        Raises:
            SourceFetchError: a file cannot be read.
        """
        started = time.time_ns()
        found: dict[str, Folder] = {}
        changed: list[str] = []
        for path, listing in tree.folders.items():
            known = self._known.get(path)
            if known is not None and known[0] == _packed(listing):
                found[path] = known
            else:
                changed.append(path)
        if changed or len(found) != len(self._known):
            fresh = dict(found)
            for path, hashes in self._read(tree, changed).items():
                listing = tree.folders[path]
                real = _real(tree, path)
                found[path] = _folder(real, listing, hashes)
                fresh[path] = _settled(real, found[path], listing, hashes, started - _SETTLED_NS)
            self._known = fresh
            self._dirty = True
        return FileHashes(found)

    def _read(self, tree: ContextTree, changed: Sequence[str]) -> dict[str, dict[str, bytes]]:
        """The hashes of the files of changed directories."""
        found: dict[str, dict[str, bytes]] = {}
        unknown: list[ContextEntry] = []
        for path in changed:
            known = self._known.get(path)
            numbers: Listing = marshal.loads(known[0]) if known else {}  # noqa: S302
            hashes = _hashes_of(known) if known else {}
            listing = tree.folders[path]
            found[path] = dict.fromkeys(_files(listing), b"")
            for name in found[path]:
                if name in hashes and _identity(numbers[name]) == _identity(listing[name]):
                    found[path][name] = hashes[name]
                else:
                    unknown.append(ContextEntry(f"{path}/{name}", f"{_real(tree, path)}/{name}", listing[name]))
        try:
            digests = hash_contents(unknown)
        except OSError as error:
            raise unreadable(error) from error
        for entry, digest in zip(unknown, digests, strict=True):
            path, _, name = entry.path.rpartition("/")
            found[path][name] = digest
        return found

    def made(self, snapshot: str) -> None:
        """Note the snapshot that holds the directory now."""
        if snapshot != self.snapshot:
            self.snapshot = snapshot
            self._dirty = True

    def remember(self, digests: dict[bytes, bytes]) -> None:
        """Keep these content digests; those that none of them is are forgotten."""
        if digests.keys() != self.digests.keys():
            self.digests = digests
            self._dirty = True

    def save(self) -> None:
        """Write what was learned. A failure costs time only, so it is not reported."""
        if not self._dirty:
            return
        staging = self._path.with_name(f"{self._path.name}.{os.urandom(4).hex()}")
        with contextlib.suppress(OSError):
            staging.write_bytes(marshal.dumps((_VERSION, self.snapshot, self.digests, self._known)))
            staging.replace(self._path)
            self._dirty = False


def _real(tree: ContextTree, path: str) -> str:
    return tree.root.real.rstrip("/") + path


def _packed(listing: Listing) -> bytes:
    return marshal.dumps(listing, 1)  # later versions write what does not depend on the value alone


def _files(listing: Listing) -> list[str]:
    return [name for name, numbers in listing.items() if statmod.S_ISREG(numbers[0])]


def _hashes_of(folder: Folder) -> dict[str, bytes]:
    numbers, hashes, _ = folder
    names = _files(marshal.loads(numbers))  # noqa: S302  # written by this module alone
    return {name: hashes[at * _HASH_BYTES : (at + 1) * _HASH_BYTES] for at, name in enumerate(names)}


def _identity(numbers: Numbers) -> Numbers | tuple[int, ...]:
    """Size, mtime, ctime and inode: what says that a file's bytes are those of the last time."""
    return numbers[1:5]


def _settled(real: str, folder: Folder, listing: Listing, hashes: Mapping[str, bytes], before: int) -> Folder:
    """A directory without the files and links that changed after a time: their next change may not show."""
    recent = {name for name, numbers in listing.items() if numbers[3] >= before and not statmod.S_ISDIR(numbers[0])}
    if not recent:
        return folder
    return _folder(real, {name: numbers for name, numbers in listing.items() if name not in recent}, hashes)


def _folder(real: str, listing: Listing, hashes: Mapping[str, bytes]) -> Folder:
    return _packed(listing), b"".join([hashes[name] for name in _files(listing)]), _digest_of(real, listing, hashes)


def _digest_of(real: str, listing: Listing, hashes: Mapping[str, bytes]) -> bytes:
    lines = hashlib.sha256()
    for name in in_order(listing):
        mode = listing[name][0]
        if statmod.S_ISREG(mode):
            what = hashes[name]
        elif statmod.S_ISLNK(mode):
            what = os.fsencode(_target(f"{real}/{name}"))
        else:
            device = statmod.S_ISCHR(mode) or statmod.S_ISBLK(mode)
            what = b"%d" % (listing[name][7] if device else 0)
        line = b"%o %b" % (mode, what)
        encoded = os.fsencode(name)
        lines.update(b"%d:%b%d:%b" % (len(encoded), encoded, len(line), line))
    return lines.digest()


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError as error:
        raise unreadable(error) from error
