"""Content digests of a context's directories: only those in which something changed are computed again.

What decides the digest of a directory is what its index says of it, its own mode, and the digests of the directories
in it. The digest of all that is the key under which the digest is remembered, in the index.
"""

from __future__ import annotations

import hashlib
import os
import stat as statmod
from collections.abc import Iterator

from pybuild.source.contextindex import FileHashes
from pybuild.source.contexttree import ContextTree, in_order
from pybuild.store.contenthash import directory_digest, leaf_digest
from pybuild.store.tree import Entry


class FolderDigests:
    """Digests of the directories of a context, as `contenthash` has them.

    Args:
        tree: the context.
        hashes: of its files.
        known: what was remembered the last time.

    Attributes:
        found: what to remember for the next time.
    """

    def __init__(self, tree: ContextTree, hashes: FileHashes, known: dict[bytes, bytes]) -> None:
        self._tree = tree
        self._hashes = hashes
        self._known = known
        self.found: dict[bytes, bytes] = {}

    def of(self, entry: Entry, header: bool) -> bytes:
        """The digest of a directory with all that is in it; `header`: its own mode counts."""
        top = entry.path.rstrip("/")
        folders = [path for path in self._tree.folders if path == top or path.startswith(top + "/")]
        below: dict[str, dict[str, bytes]] = {path: {} for path in folders}
        for path in sorted(folders, reverse=True):  # what is in a directory comes before it
            parent, _, name = path.rpartition("/")
            digest = self._of_one(path, below[path], header=header or path != top)
            if path == top:
                return digest
            below[parent][name] = digest
        raise AssertionError(f"{entry!r} is no directory of the context")

    def _of_one(self, path: str, below: dict[str, bytes], *, header: bool) -> bytes:
        entry = self._tree.lookup(path or "/", follow=False)
        assert entry is not None
        folders = b"".join([os.fsencode(name) + b"\0" + below[name] for name in in_order(below)])
        about = b"%o %d " % (entry.stat.st_mode, header)
        key = hashlib.sha256(about + self._hashes.folders[path][2] + folders).digest()
        digest = self._known.get(key) or self.found.get(key)
        if digest is None:
            digest = directory_digest(entry, self._children(entry, below), header=header)
        self.found[key] = digest
        return digest

    def _children(self, entry: Entry, below: dict[str, bytes]) -> Iterator[tuple[bytes, bytes]]:
        for child in self._tree.children(entry):
            if child.is_dir:
                yield os.fsencode(child.name), below[child.name]
            else:
                content = self._hashes[child.path] if statmod.S_ISREG(child.stat.st_mode) else b""
                yield os.fsencode(child.name), leaf_digest(child, content)
