"""Snapshots as plain copies, for hosts where overlayfs does not work (mirrors containerd's native snapshotter).

Every snapshot is a complete tree: `prepare` copies its parent (sharing blocks where the file system can), and
`upper` is the whole tree. Slower and larger than overlayfs, with the same results.
"""

from __future__ import annotations

from pathlib import Path

from pybuild.errors import NotFound
from pybuild.protocols import MountSpec, SnapshotKind
from pybuild.store.snapshotrows import EMPTY, Row
from pybuild.store.snapshots import SnapshotTable
from pybuild.store.treechanges import apply_changes
from pybuild.store.treecopy import copy_tree


class NativeSnapshotter(SnapshotTable):
    """See protocols.Snapshotter; arguments as for `SnapshotTable`."""

    name = "native"

    def lowers(self, key: str) -> tuple[Path, ...]:
        """See protocols.Snapshotter: one complete tree."""
        return tuple([layer.tree for layer in self._layers(key)[:1]])

    def mounts(self, key: str) -> tuple[MountSpec, ...]:
        """See protocols.Snapshotter."""
        row = self.row(key)
        if row is EMPTY:
            raise NotFound('snapshot "" not found')
        mode = "rw" if row.kind is SnapshotKind.ACTIVE else "ro"
        return (MountSpec(type="bind", source=str(self.lowers(key)[0]), options=("bind", mode)),)

    def restack(self, name: str, parent: str, layer: str) -> None:
        """See SnapshotTable; finds the layer's changes by comparing it with its own parent."""
        base, changed = self._committed(parent), self._committed(layer)
        if changed is EMPTY:
            raise NotFound('snapshot "" not found')
        below = self.lowers(changed.parent)
        with self._staging() as staging:
            self._populate(staging, base)
            apply_changes(below[0] if below else None, self._tree(changed.directory), staging / "fs")
            self._insert(name, base, SnapshotKind.COMMITTED, staging=staging, depth=1)

    def _populate(self, staging: Path, base: Row, revises: str = "") -> None:
        del revises  # whole trees have no revisions
        tree = staging / "fs"
        if base.key:
            copy_tree(self.lowers(base.key)[0], tree)
            return
        tree.mkdir(mode=0o755)
        tree.chmod(0o755)

    def _seal(self, directory: Path) -> None:
        """Nothing is special about an active copy."""

    def _depth(self, base: Row) -> int:
        return 0
