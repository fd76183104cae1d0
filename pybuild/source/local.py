"""Local directories as sources: `local://NAME`, identified by what they hold, brought in only when a step needs files.

The directory's `.dockerignore` applies. Files belong to root and keep their modes and times, as with BuildKit. What
did not change since the last snapshot of the directory is hard-linked from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat as statmod
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from pybuild._collector import paused as collector_paused
from pybuild.digest import Digest, digest_of
from pybuild.errors import AlreadyExists, NotFound, SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.platform import Platform
from pybuild.protocols import Ref, Session, SourceMetadata
from pybuild.source.contextindex import ContextIndex, FileHashes
from pybuild.source.contexttree import ContextEntry, ContextTree, scan
from pybuild.source.followpaths import follow_paths
from pybuild.source.ignorefile import read_ignore_file
from pybuild.store.attributes import Attributes
from pybuild.store.contenthash import Selection, content_digest
from pybuild.store.store import Store
from pybuild.store.tree import Entry, LayeredTree
from pybuild.store.treewriter import TreeWriter

_CHUNK = 1 << 20
_SHARED_KEY = "local.sharedkeyhint"


@attrs.frozen(kw_only=True, eq=False)
class _Context:
    """A directory as it was when the build looked."""

    tree: ContextTree
    hashes: FileHashes
    digest: Digest
    index: ContextIndex
    content: dict[tuple[str, Selection], Digest]

    @property
    def snapshot(self) -> str:
        """The name of the snapshot that holds it."""
        return f"local-{self.digest.partition(':')[2]}"


class LocalSource:
    """See solver.sources.Source. Each directory is looked at once per build. Thread-safe.

    Args:
        store: where trees are kept.
        session: knows directories by name.
    """

    def __init__(self, store: Store, session: Session) -> None:
        self._store = store
        self._session = session
        self._contexts: dict[tuple[str, Digest], _Context] = {}
        self._lock = threading.Lock()

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See solver.sources.Source."""
        assert isinstance(vertex.op, SourceOp)
        return SourceMetadata(identifier=vertex.op.identifier)

    def key(self, vertex: Vertex, platform: Platform) -> str:
        """See solver.sources.Source: the digest of what the directory holds."""
        del platform  # a directory is the same for all
        return self._context(vertex).digest

    def tree(self, vertex: Vertex, platform: Platform) -> tuple[LayeredTree, Callable[[str, Selection], Digest]] | None:
        """See solver.sources.Source: content keys come from the index, nothing is copied for them."""
        context = self._context(vertex)

        def hash_files(files: Sequence[Entry]) -> Sequence[bytes]:
            return [context.hashes[entry.path] for entry in files]

        def digest(path: str, selection: Selection) -> Digest:
            found = context.content.get((path, selection))
            if found is None:
                found = content_digest(context.tree, path, selection, hash_files=hash_files)
                context.content[path, selection] = found
            return found

        return context.tree, digest

    def files(self, vertex: Vertex) -> tuple[ContextTree, dict[str, str]]:
        """The directory's tree, and an identity of the content of each file and link, by path."""
        context = self._context(vertex)
        found: dict[str, str] = {}
        for entry in context.tree.entries:
            mode = entry.status.st_mode
            if statmod.S_ISREG(mode):
                found[entry.path] = f"{statmod.S_IMODE(mode):o} {context.hashes[entry.path].hex()}"
            elif statmod.S_ISLNK(mode):
                found[entry.path] = f"link {os.readlink(entry.real)}"
        return context.tree, found

    def is_here(self, vertex: Vertex, platform: Platform) -> bool:
        """See solver.sources.Source."""
        return self._exists(self._context(vertex).snapshot)

    def fetch(self, vertex: Vertex, platform: Platform, hold: Callable[[str], None]) -> Ref:
        """See solver.sources.Source: copies what changed into a new snapshot."""
        context = self._context(vertex)
        name = context.snapshot
        hold(name)
        if context.index.snapshot:
            hold(context.index.snapshot)
        with self._store.locks.exclusive(f"local:{name}"):
            if not self._exists(name):
                self._bring_in(context, name)
        context.index.made(name, context.hashes)
        context.index.save()
        return Ref(snapshot=name)

    # ------------------------------------------------------------------------------------------- looking

    def _context(self, vertex: Vertex) -> _Context:
        with self._lock:
            directory = self._directory(vertex)
            key = (str(directory), vertex.digest)
            if key not in self._contexts:
                self._contexts[key] = self._look(vertex, directory)
            return self._contexts[key]

    def _directory(self, vertex: Vertex) -> Path:
        assert isinstance(vertex.op, SourceOp)
        directory = vertex.metadata.local_dir
        return Path(directory) if directory else self._session.local_dir(vertex.op.reference)

    def _look(self, vertex: Vertex, directory: Path) -> _Context:
        assert isinstance(vertex.op, SourceOp)
        given = dict(vertex.op.attrs)
        include = _patterns(given.get("local.includepattern", ""))
        follow = _patterns(given.get("local.followpaths", ""))
        exclude = _patterns(given.get("local.excludepatterns", ""))
        if not directory.is_dir():
            raise SourceFetchError(
                f'the local directory "{directory}" {"is not a directory" if directory.exists() else "does not exist"}'
            )
        directory = directory.resolve()
        if _SHARED_KEY not in given:  # set by the Dockerfile frontend, which has read the ignore file that counts
            exclude = read_ignore_file(directory) + exclude
        name = digest_of("context", str(directory), tuple(include), tuple(follow), tuple(exclude)).partition(":")[2]
        if follow:
            include = [*include, *follow_paths(LayeredTree((directory,)), follow)]
        with collector_paused():
            index = ContextIndex(self._store.root / "contexts" / name)
            tree = scan(directory, include, exclude)
            hashes = index.hashes(tree)
            index.save()
            return _Context(tree=tree, hashes=hashes, digest=hashes.digest, index=index, content={})

    # ------------------------------------------------------------------------------------------- copying

    def _bring_in(self, context: _Context, name: str) -> None:
        snapshots = self._store.snapshots
        key = f"local-{os.urandom(8).hex()}"
        snapshots.prepare(key)
        try:
            writer = TreeWriter((), snapshots.upper(key), whiteouts="native")
            _Copy(context, writer, self._previous(context)).run()
            snapshots.commit(name, key)
        except AlreadyExists:
            snapshots.remove(key)
        except BaseException:
            snapshots.abandon(key)
            raise

    def _previous(self, context: _Context) -> str:
        """The directory of the last snapshot, "" when it is gone."""
        name = context.index.snapshot
        return str(self._store.snapshots.upper(name)) if name and self._exists(name) else ""

    def _exists(self, name: str) -> bool:
        try:
            self._store.snapshots.stat(name)
        except NotFound:
            return False
        return True


class _Copy:
    """A context on its way into a new snapshot.

    Args:
        context: what to copy.
        writer: where to.
        previous: the directory of an older snapshot of the same context, or "".
    """

    def __init__(self, context: _Context, writer: TreeWriter, previous: str) -> None:
        self._context = context
        self._writer = writer
        self._previous = previous

    def run(self) -> None:
        times: list[tuple[str, int]] = []
        links: dict[tuple[int, int], str] = {}
        for entry in self._context.tree.entries:
            status = entry.status
            attributes = Attributes(statmod.S_IMODE(status.st_mode), 0, 0, status.st_mtime_ns)
            kind = statmod.S_IFMT(status.st_mode)
            if kind == statmod.S_IFDIR:
                self._writer.mkdir(entry.path, attributes)
                times.append((entry.path, status.st_mtime_ns))
            elif kind == statmod.S_IFREG:
                first = links.setdefault((status.st_dev, status.st_ino), entry.path)
                if status.st_nlink > 1 and first != entry.path:
                    self._writer.link(entry.path, first)
                else:
                    self._file(entry, attributes)
            elif kind == statmod.S_IFLNK:
                self._writer.symlink(entry.path, os.readlink(entry.real), attributes)
            else:
                self._writer.mknod(entry.path, kind, status.st_rdev, attributes)
        for path, mtime_ns in reversed(times):
            self._writer.set_mtime(path, mtime_ns)

    def _file(self, entry: ContextEntry, attributes: Attributes) -> None:
        if self._previous and self._link(entry, attributes):
            return
        try:
            with open(entry.real, "rb", buffering=0) as file:
                if entry.status.st_size <= _CHUNK:
                    data = file.read(_CHUNK + 1)
                    self._check(entry, hashlib.sha256(data))
                    self._writer.write_file(entry.path, data, attributes)
                    return
                reader = _Hashing(file)
                self._writer.write_file(entry.path, reader, attributes)  # type: ignore[arg-type]  # it has read()
                self._check(entry, reader.hash)
        except PermissionError as error:
            raise SourceFetchError(f'cannot read "{entry.real}": {error.strerror}') from error
        except FileNotFoundError:
            raise _changed(entry) from None

    def _link(self, entry: ContextEntry, attributes: Attributes) -> bool:
        """Share the inode of the last snapshot when it holds the same bytes with the same attributes."""
        index = self._context.index
        if index.snapshot_hashes.get(entry.path) != self._context.hashes[entry.path]:
            return False
        older = Entry(entry.path, self._previous + entry.path, None)
        try:
            status = older.stat
        except OSError:
            return False
        same = (statmod.S_ISREG(status.st_mode), statmod.S_IMODE(status.st_mode), status.st_size, status.st_mtime_ns)
        if same != (True, attributes.mode, entry.status.st_size, attributes.mtime_ns):
            return False
        self._writer.copy_file(entry.path, older, attributes)
        return True

    def _check(self, entry: ContextEntry, found: hashlib._Hash) -> None:
        if found.digest() != self._context.hashes[entry.path]:
            raise _changed(entry)


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes."""
        ...


class _Hashing:
    """A file that hashes what is read from it."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.hash = hashlib.sha256()

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        self.hash.update(data)
        return data


def _changed(entry: ContextEntry) -> SourceFetchError:
    return SourceFetchError(
        f'"{entry.real}" changed while it was being read', hint="build again when nothing writes into the context"
    )


def _patterns(text: str) -> list[str]:
    """A list of patterns, as the attribute holds it: JSON."""
    return [str(pattern) for pattern in json.loads(text)] if text else []
