"""Local directories as sources: `local://NAME`, identified by what they hold, brought in only when a step needs files.

The directory's `.dockerignore` applies. Files belong to root and keep their modes and times, as with BuildKit. A
snapshot shares what did not change with the last one of the directory (see `contextcopy.py`).
"""

from __future__ import annotations

import json
import os
import stat as statmod
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from pybuild._collector import paused as collector_paused
from pybuild.digest import Digest, digest_of
from pybuild.errors import NotFound, SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.platform import Platform
from pybuild.protocols import Ref, Session, SourceMetadata
from pybuild.source.contextcopy import bring_in
from pybuild.source.contextdigests import FolderDigests
from pybuild.source.contextindex import ContextIndex, FileHashes
from pybuild.source.contexttree import ContextTree, scan
from pybuild.source.followpaths import follow_paths
from pybuild.source.ignorefile import read_ignore_file
from pybuild.store.contenthash import Selection, content_digest
from pybuild.store.store import Store
from pybuild.store.tree import Entry, LayeredTree

_SHARED_KEY = "local.sharedkeyhint"


@attrs.frozen(kw_only=True, eq=False)
class _Context:
    """A directory as it was when the build looked."""

    tree: ContextTree
    hashes: FileHashes
    digest: Digest
    index: ContextIndex
    folders: FolderDigests
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
                folders = context.folders
                found = content_digest(context.tree, path, selection, hash_files=hash_files, directories=folders.of)
                context.content[path, selection] = found
                context.index.remember(dict(folders.found))
                context.index.save()
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
                bring_in(self._store, name, context.tree, context.hashes, self._previous(context))
        context.index.made(name)
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
            folders = FolderDigests(tree, hashes, index.digests)
            return _Context(tree=tree, hashes=hashes, digest=hashes.digest, index=index, folders=folders, content={})

    def _previous(self, context: _Context) -> str:
        """The last snapshot of the directory, "" when it is gone. Call with it held."""
        name = context.index.snapshot
        return name if name and self._exists(name) else ""

    def _exists(self, name: str) -> bool:
        try:
            self._store.snapshots.stat(name)
        except NotFound:
            return False
        return True


def _patterns(text: str) -> list[str]:
    """A list of patterns, as the attribute holds it: JSON."""
    return [str(pattern) for pattern in json.loads(text)] if text else []
