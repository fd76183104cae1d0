"""Content keys of stored results: what a selection of a snapshot's tree holds, whatever it was made from.

The key joins the content digest of the selection with what else of the selection shows in the result (its base name,
say). Specified in docs/cache-keys.md; mirrors `contentcache` of BuildKit's solver/llbsolver/result.go.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from pybuild.digest import Digest, digest_of
from pybuild.errors import NotFound
from pybuild.solver.cachemap import Selection
from pybuild.store.contenthash import Selection as Picked
from pybuild.store.hashmemo import ContentHasher
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree

Hash = Callable[[str, Picked], Digest]
"""The content digest of a path and what of it counts; raises NotFound."""


class SnapshotContents:
    """Content keys of snapshots, each computed once per store.

    Args:
        store: where the snapshots are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _hasher(self) -> ContentHasher:
        return ContentHasher(self._store.database)

    def of_snapshot(self, snapshot: str, selection: Selection) -> str:
        """See `plan.Contents`.

        Args:
            snapshot: key of a committed snapshot, "" for the empty tree.
            selection: what of it counts.
        """
        tree = LayeredTree(self._store.snapshots.lowers(snapshot) if snapshot else ())
        return content_key(tree, selection, lambda path, picked: self._hasher.digest(snapshot, tree, path, picked))


def content_key(tree: LayeredTree, selection: Selection, hash_path: Hash) -> str:
    """The content key of a selection of a tree.

    A path that is not there has a key too: the step that uses it runs, and says so better than a look-up could.

    Args:
        tree: where to look.
        selection: what counts.
        hash_path: gives content digests of that tree.

    Example:
        >>> from pybuild.store.contenthash import content_digest
        >>> empty = LayeredTree(())
        >>> key = content_key(empty, Selection(path="/"), lambda path, picked: content_digest(empty, path, picked))
        >>> key.startswith("sha256:")
        True
    """
    entry = None if selection.magic else tree.lookup(selection.path, follow=selection.follow or selection.contents_only)
    try:
        found = hash_path(selection.path, picked(selection))
    except NotFound:
        return digest_of("missing", selection.path)
    return digest_of(*selection.context(is_directory=entry is not None and entry.is_dir), found)


def picked(selection: Selection) -> Picked:
    """What the content hash has to look at for a selection of the cache."""
    return Picked(
        follow=selection.follow,
        wildcard=selection.wildcard,
        include=selection.include,
        exclude=selection.exclude,
        # Where the contents of a directory are copied, its own mode and owner show nowhere.
        header=not selection.contents_only,
    )


__all__ = ["SnapshotContents", "content_key", "picked"]
