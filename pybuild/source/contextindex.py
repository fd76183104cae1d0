"""What is known of the files of a local directory: one walk per build, and no file opened that did not change.

The index maps paths to size, times and inode with the hash of the bytes. A file whose numbers are all the same is not
read again. One that was changed a moment before it was read (its ctime says so, whatever its mtime was set to) is read
again next time: its times may not show another change. Symbolic links are read each time; that opens nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import stat as statmod
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pybuild.digest import Digest
from pybuild.errors import SourceFetchError
from pybuild.patterns import PatternMatcher
from pybuild.store.attributes import Xattrs
from pybuild.store.contenthash import hash_contents
from pybuild.store.filtered import filtered
from pybuild.store.tree import Entry, LayeredTree

_VERSION: Final = 2
_SETTLED_NS: Final = 100_000_000
Known = tuple[tuple[int, int, int, int], bytes]
"""Size, mtime and ctime in nanoseconds and inode; and the sha256 of the bytes."""


class ContextEntry(Entry):
    """A path of a context: it belongs to root, and has no extended attributes (BuildKit does not send any).

    Attributes:
        status: its lstat, with the owner that it has.
    """

    __slots__ = ("status",)

    def __init__(self, path: str, real: str, status: os.stat_result) -> None:
        # Made once per file: no call of the base class.
        self.path = path
        self.real = real
        self.status = status
        self._stat = None
        is_dir = statmod.S_ISDIR(status.st_mode)
        self.dirs = (real,) if is_dir else ()
        self._children = {} if is_dir else None

    @property
    def stat(self) -> os.stat_result:
        """The status with root as the owner and without times."""
        found = self._stat
        if found is None:
            own = self.status
            owned = (own.st_mode, own.st_ino, own.st_dev, own.st_nlink, 0, 0, own.st_size, 0, 0, 0)
            found = self._stat = os.stat_result(owned)
        return found

    @property
    def xattrs(self) -> Xattrs:
        """None."""
        return ()


class ContextTree(LayeredTree):
    """The filtered files of a directory, held in memory.

    Attributes:
        entries: every path, parents first.
    """

    def __init__(self, entries: Sequence[ContextEntry], root: ContextEntry) -> None:
        super().__init__((root.real,))
        self.root = root
        self.entries = entries
        below: dict[str, dict[str, Entry | None]] = {"": {}}
        for entry in entries:
            path = entry.path
            directory, _, name = path.rpartition("/")
            below[directory][name] = entry
            if entry.dirs:
                entry._children = below[path] = {}
        root._children = below[""]

    def child(self, directory: Entry, name: str) -> Entry | None:
        """See LayeredTree."""
        return None if directory._children is None else directory._children.get(name)

    def children(self, directory: Entry) -> list[Entry]:
        """See LayeredTree."""
        return [] if directory._children is None else list(filter(None, directory._children.values()))


class _Unfiltered(LayeredTree):
    """A directory of the user's as it is: nothing in it marks anything removed."""

    def __init__(self, directory: str) -> None:
        super().__init__((directory,))
        self.root = ContextEntry("/", self.lowers[0], os.lstat(directory))

    def children(self, directory: Entry) -> list[Entry]:
        """See LayeredTree. The status comes with the listing, and stays."""
        prefix = directory.path if directory.path != "/" else ""
        real = directory.real
        descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:  # by descriptor: the kernel need not walk the whole path for each status
            with os.scandir(descriptor) as items:
                found = {
                    name: ContextEntry(f"{prefix}/{name}", f"{real}/{name}", item.stat(follow_symlinks=False))
                    for item in items
                    for name in (item.name,)
                }
        except OSError as error:
            name = error.filename if isinstance(error.filename, str) else ""
            raise OSError(error.errno, error.strerror, f"{real}/{name}".rstrip("/")) from None
        finally:
            os.close(descriptor)
        return [found[name] for name in sorted(found, key=os.fsencode)]


def scan(directory: Path, include: Sequence[str], exclude: Sequence[str]) -> ContextTree:
    """Walk a directory once.

    Args:
        directory: an existing directory.
        include: patterns; only what matches, and the directories that lead there.
        exclude: patterns of what is left out.

    Raises:
        SourceFetchError: something in it cannot be read.
    """
    entries: list[ContextEntry] = []
    try:
        tree = _Unfiltered(str(directory))
        walk = filtered(
            tree,
            tree.root,
            PatternMatcher(include) if include else None,
            PatternMatcher(exclude) if exclude else None,
            header=False,
        )
        for _, entry in walk:
            assert isinstance(entry, ContextEntry)
            if not statmod.S_ISSOCK(entry.status.st_mode):
                entries.append(entry)
    except OSError as error:
        raise _unreadable(error) from error
    root = tree.root
    assert isinstance(root, ContextEntry)
    return ContextTree(entries, root)


class ContextIndex:
    """The remembered hashes of one directory under one set of patterns.

    Args:
        path: the file that holds them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Known] = {}
        self.snapshot = ""
        """The snapshot that was last made of this directory."""
        self.snapshot_hashes: dict[str, bytes] = {}
        """The hash of every file in it."""
        self._digest = ("", "")
        """Of the directory as it was the last time: that of all that is no regular file, and that of everything."""
        self._dirty = False
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
            version, *rest = marshal.loads(path.read_bytes())  # noqa: S302  # written by this class alone
            if version == _VERSION:
                self.snapshot, self.snapshot_hashes, self._digest, self._known = rest

    def hashes(self, tree: ContextTree) -> dict[str, bytes]:
        """The hash of every regular file by its path; reads the bytes of changed files only.

        Raises:
            SourceFetchError: a file cannot be read.
        """
        started = time.time_ns()
        found: dict[str, bytes] = {}
        changed: list[ContextEntry] = []
        fresh: dict[str, Known] = {}
        for entry in tree.entries:
            status = entry.status
            if not statmod.S_ISREG(status.st_mode):
                continue
            path = entry.path
            known = self._known.get(path)
            if known is not None and known[0] == _numbers(status):
                found[path] = known[1]
                fresh[path] = known
            else:
                changed.append(entry)
        try:
            digests = hash_contents(changed)
        except OSError as error:
            raise _unreadable(error) from error
        for entry, digest in zip(changed, digests, strict=True):
            found[entry.path] = digest
            if entry.status.st_ctime_ns < started - _SETTLED_NS:
                fresh[entry.path] = _numbers(entry.status), digest
        if changed or len(fresh) != len(self._known):
            self._known = fresh
            self._digest = ("", "")
            self._dirty = True
        return found

    def digest(self, tree: ContextTree, hashes: dict[str, bytes]) -> Digest:
        """`tree_digest` of what `hashes` was given; it need not be computed again when no file changed."""
        others = hashlib.sha256(b"".join(_line(entry, hashes) for entry in tree.entries if not _is_file(entry)))
        if self._digest[0] == others.hexdigest():
            return Digest(self._digest[1])
        digest = tree_digest(tree, hashes)
        if len(hashes) == len(self._known):  # otherwise a file may still change unseen
            self._digest = (others.hexdigest(), digest)
            self._dirty = True
        return digest

    def made(self, snapshot: str, hashes: dict[str, bytes]) -> None:
        """Note the snapshot that holds the directory now, and the hashes of its files."""
        if snapshot != self.snapshot:
            self.snapshot, self.snapshot_hashes = snapshot, hashes
            self._dirty = True

    def save(self) -> None:
        """Write what was learned. A failure costs time only, so it is not reported."""
        if not self._dirty:
            return
        staging = self._path.with_name(f"{self._path.name}.{os.urandom(4).hex()}")
        with contextlib.suppress(OSError):
            staging.write_bytes(
                marshal.dumps((_VERSION, self.snapshot, self.snapshot_hashes, self._digest, self._known))
            )
            staging.replace(self._path)
            self._dirty = False


def tree_digest(tree: ContextTree, hashes: dict[str, bytes]) -> Digest:
    """The digest of all that a context holds: paths, types, modes, link targets and bytes; no times, no owners."""
    listing = b"".join([_line(entry, hashes) for entry in tree.entries])
    return Digest(f"sha256:{hashlib.sha256(listing).hexdigest()}")


def _line(entry: ContextEntry, hashes: dict[str, bytes]) -> bytes:
    mode = entry.status.st_mode
    name = entry.path.encode(errors="surrogateescape")
    if statmod.S_ISREG(mode):
        line = b"%o 0 %b" % (mode, hashes[entry.path])
    elif statmod.S_ISLNK(mode):
        line = b"%o 0 %b" % (mode, os.fsencode(os.readlink(entry.real)))
    else:
        device = statmod.S_ISCHR(mode) or statmod.S_ISBLK(mode)
        line = b"%o %d " % (mode, entry.status.st_rdev if device else 0)
    return b"%d:%b%d:%b" % (len(name), name, len(line), line)


def _is_file(entry: ContextEntry) -> bool:
    return statmod.S_ISREG(entry.status.st_mode)


def _numbers(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _unreadable(error: OSError) -> SourceFetchError:
    return SourceFetchError(
        f'cannot read "{error.filename}" of the context: {error.strerror}',
        hint="exclude it with .dockerignore, or change its permissions",
    )
