"""The files of a local directory that patterns leave: one walk, and nothing made for each of them but its numbers.

An unchanged context of many files is only listed and compared, directory by directory (`contextindex.py`); entries
are made when somebody looks at files.
"""

from __future__ import annotations

import os
import stat as statmod
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from pybuild.errors import SourceFetchError
from pybuild.patterns import PatternMatcher
from pybuild.store.attributes import Xattrs
from pybuild.store.filtered import filtered_steps
from pybuild.store.tree import Entry, LayeredTree

Numbers = tuple[int, int, int, int, int, int, int, int]
"""The fields of `Status`; a plain tuple takes a third of the time to make."""
Listing = dict[str, Numbers]
"""What a directory holds, by name."""


class Status(NamedTuple):
    """What counts of the lstat of a path, under the names of `os.stat_result`."""

    st_mode: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_ino: int
    st_dev: int
    st_nlink: int
    st_rdev: int


_numbers = attrgetter(*Status._fields)


class ContextEntry(Entry):
    """A path of a context: it belongs to root, and has no extended attributes (BuildKit does not send any).

    Attributes:
        status: its lstat.
        numbers: the same as a plain tuple.
    """

    __slots__ = ("numbers", "status")

    def __init__(self, path: str, real: str, numbers: Numbers) -> None:
        # Made once per file: no call of the base class.
        self.path = path
        self.real = real
        self.numbers = numbers
        self.status = Status._make(numbers)
        self.dirs = (real,) if statmod.S_ISDIR(numbers[0]) else ()
        self._stat = None
        self._children = None

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
    """The filtered files of a directory, held in memory. Thread-safe.

    Args:
        root: the directory.
        folders: what each directory holds, by its path; the path of the root is "".
    """

    def __init__(self, root: ContextEntry, folders: dict[str, Listing]) -> None:
        super().__init__((root.real,))
        self.root = root
        self.folders = folders
        self._entries: list[ContextEntry] | None = None

    @property
    def entries(self) -> list[ContextEntry]:
        """Every path, parents first, names in order."""
        if self._entries is None:
            found: list[ContextEntry] = []
            stack: list[Entry] = self.children(self.root)[::-1]
            while stack:
                entry = stack.pop()
                assert isinstance(entry, ContextEntry)
                found.append(entry)
                if entry.dirs:
                    stack.extend(reversed(self.children(entry)))
            self._entries = found
        return self._entries

    def child(self, directory: Entry, name: str) -> Entry | None:
        """See LayeredTree."""
        return self._below(directory).get(name)

    def children(self, directory: Entry) -> list[Entry]:
        """See LayeredTree."""
        return list(filter(None, self._below(directory).values()))

    def _below(self, directory: Entry) -> dict[str, Entry | None]:
        found = directory._children
        if found is None:
            prefix = directory.path if directory.path != "/" else ""
            listing = self.folders.get(prefix, {})
            found = directory._children = dict(_entries(prefix, directory.real, listing))
        return found


class _Unfiltered(LayeredTree):
    """A directory of the user's as it is: nothing in it marks anything removed."""

    def __init__(self, directory: str) -> None:
        super().__init__((directory,))
        self.root = ContextEntry("/", self.lowers[0], _numbers(os.lstat(directory)))

    def children(self, directory: Entry) -> list[Entry]:
        """See LayeredTree. The status comes with the listing, and stays."""
        prefix = directory.path if directory.path != "/" else ""
        return [entry for _, entry in _entries(prefix, directory.real, _listing(directory.real))]


def scan(directory: Path, include: Sequence[str], exclude: Sequence[str]) -> ContextTree:
    """Walk a directory once.

    Args:
        directory: an existing directory.
        include: patterns; only what matches, and the directories that lead there.
        exclude: patterns of what is left out.

    Raises:
        SourceFetchError: something in it cannot be read.
    """
    folders: dict[str, Listing] = {"": {}}
    try:
        tree = _Unfiltered(str(directory))
        root = tree.root
        walk = filtered_steps(
            tree,
            root,
            PatternMatcher(include) if include else None,
            PatternMatcher(exclude) if exclude else None,
            header=False,
        )
        for _, entry, below in walk:
            assert isinstance(entry, ContextEntry)
            if below:
                _list_all(entry, folders)
            elif not statmod.S_ISSOCK(entry.status.st_mode):
                parent, _, name = entry.path.rpartition("/")
                folders[parent][name] = entry.numbers
                if entry.dirs:
                    folders[entry.path] = {}
    except OSError as error:
        raise unreadable(error) from error
    assert isinstance(root, ContextEntry)
    return ContextTree(root, folders)


def unreadable(error: OSError) -> SourceFetchError:
    """What to say when a file of a context cannot be read."""
    return SourceFetchError(
        f'cannot read "{error.filename}" of the context: {error.strerror}',
        hint="exclude it with .dockerignore, or change its permissions",
    )


def in_order(names: Iterable[str]) -> list[str]:
    """Names sorted by their bytes.

    Example:
        >>> in_order(["b", "ü", "a"])
        ['a', 'b', 'ü']
    """
    names = list(names)
    return sorted(names) if "".join(names).isascii() else sorted(names, key=os.fsencode)


def _entries(prefix: str, real: str, listing: Listing) -> list[tuple[str, ContextEntry]]:
    return [(name, ContextEntry(f"{prefix}/{name}", f"{real}/{name}", listing[name])) for name in in_order(listing)]


def _list_all(top: ContextEntry, folders: dict[str, Listing]) -> None:
    """All directories from `top` on, without a look at each file."""
    pending = [(top.path if top.path != "/" else "", top.real)]
    while pending:
        prefix, real = pending.pop()
        listing = folders[prefix] = _listing(real)
        others = [(name, numbers[0]) for name, numbers in listing.items() if not statmod.S_ISREG(numbers[0])]
        for name, mode in others:
            if statmod.S_ISDIR(mode):
                pending.append((f"{prefix}/{name}", f"{real}/{name}"))
            elif statmod.S_ISSOCK(mode):
                del listing[name]


def _listing(real: str) -> Listing:
    descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # by descriptor: the kernel need not walk the whole path for each status
        with os.scandir(descriptor) as items:
            return {item.name: _numbers(item.stat(follow_symlinks=False)) for item in items}
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else ""
        raise OSError(error.errno, error.strerror, f"{real}/{name}".rstrip("/")) from None
    finally:
        os.close(descriptor)
