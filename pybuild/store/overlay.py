"""Snapshots as overlayfs layers (mirrors containerd's overlay snapshotter).

snapshots/<n>/fs holds what a snapshot changed, snapshots/<n>/work is overlayfs's scratch space. Overlayfs takes 500
layers, and gets slower with each. Chains of any length work all the same: when a snapshot that has more than 100
layers is committed, the topmost of them are merged into one tree (`flatten.py`), which everything above uses instead.
Merged trees are merged again only with those of their own size or smaller (as a log-structured merge tree does), so
the work and the space grow with n log n.
The options of a mount may be longer than the page that mount(2) takes; `pybuild.runtime.mount` knows how to do it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from pybuild.errors import NotFound
from pybuild.protocols import MountSpec, SnapshotKind
from pybuild.store.attributes import OPAQUE_XATTRS
from pybuild.store.database import Database
from pybuild.store.flatten import flatten
from pybuild.store.revisions import Revision, next_revision
from pybuild.store.snapshotrows import EMPTY, Flat, Layer, Row
from pybuild.store.snapshots import SnapshotTable
from pybuild.store.treecopy import copy_attributes, remove_tree

#: Explicit, because kernels are built with other defaults. Without index, redirects and metacopy the layers hold
#: whole files only, so that they can be read and restacked without overlayfs; they also keep overlayfs from marking
#: every new directory opaque, which would hide what a merge puts below.
_FIXED_OPTIONS = ("index=off", "metacopy=off", "xino=off")
_MAX_LAYERS = 100


class OverlaySnapshotter(SnapshotTable):
    """See protocols.Snapshotter.

    Args:
        root: the store's directory.
        database: the store's database.
        owner: gives this process's owner id.
        max_layers: how many lower directories a mount may have.
    """

    name = "overlay"

    def __init__(
        self, root: Path, database: Database, owner: Callable[[], str], *, max_layers: int = _MAX_LAYERS
    ) -> None:
        super().__init__(root, database, owner)
        self._max_layers = max_layers

    def lowers(self, key: str) -> tuple[Path, ...]:
        """See protocols.Snapshotter."""
        return tuple([layer.tree for layer in self._layers(key)])

    def mounts(self, key: str) -> tuple[MountSpec, ...]:
        """See protocols.Snapshotter. Mount an active snapshot once at a time; again after unmounting is fine."""
        row = self.row(key)
        if row is EMPTY:
            raise NotFound('snapshot "" not found')
        layers = self.lowers(key)
        active = row.kind is SnapshotKind.ACTIVE
        if len(layers) == 1:
            return (MountSpec(type="bind", source=str(layers[0]), options=("bind", "rw" if active else "ro")),)
        if not active:
            options = ["ro", f"lowerdir={_joined(layers)}"]
        else:
            work = self._directory / str(row.directory) / "work"
            self._forget_last_mount(work)
            options = [
                "rw",
                f"lowerdir={_joined(layers[1:])}",
                f"upperdir={_escaped(layers[0])}",
                f"workdir={_escaped(work)}",
                # Nothing here survives a crash of its process, so nothing has to be synced: without this every
                # umount writes back all dirty data of the file system (325 ms with 500 MB pending, now 3 ms).
                "volatile",
            ]
        options += _fixed_options()
        return (MountSpec(type="overlay", source="overlay", options=tuple(options)),)

    def restack(self, name: str, parent: str, layer: str) -> None:
        """See SnapshotTable; the new snapshot shares the layer's directory."""
        base, changes = self._committed(parent), self._committed(layer)
        if changes is EMPTY:
            raise NotFound('snapshot "" not found')
        own = [Layer(tree, base.key, 0) for tree in self.own(layer)]
        if base.depth + len(own) <= self._max_layers:
            self._insert_shared(name, base, changes, base.depth + len(own))
            return
        with self._merged([*own, *self._layers(parent)]) as flat:
            self._insert_shared(name, base, changes, flat.depth, flat)

    def _insert_shared(self, name: str, base: Row, changes: Row, depth: int, flat: Flat | None = None) -> None:
        with self._database.write():
            self.row(changes.key)  # still there, so its directory is
            self._insert(name, base, SnapshotKind.COMMITTED, shared=changes.directory, depth=depth, flat=flat)

    def _populate(self, staging: Path, base: Row, revises: str = "") -> None:
        tree = staging / "fs"
        tree.mkdir(mode=0o755)
        tree.chmod(0o755)
        if revises or base.key:
            (staging / "work").mkdir(mode=0o711)
            # The topmost layer's root directory is the root directory of the merged tree.
            below = self.upper(revises) if revises else self._layers(base.key)[0].tree
            copy_attributes(below, below.lstat(), tree)

    def _revision(self, predecessor: Row, base: Row, changes: int) -> Revision | None:
        """See SnapshotTable. Where layers would soon have to be merged, many directories in one are a bad idea."""
        if predecessor.parent != base.key or not predecessor.directory:
            return None
        inodes = self._own_usage(predecessor).inodes
        made = next_revision(self._database.connection, predecessor.directory, inodes, changes)
        return made if made is not None and base.depth + made.length <= self._max_layers // 2 else None

    def _seal(self, directory: Path) -> None:
        remove_tree(directory / "work")

    @contextmanager
    def _flattened(self, row: Row) -> Generator[Flat | None, None, None]:
        if row.depth <= self._max_layers:
            yield None
            return
        with self._merged(self._layers(row.key)) as flat:
            yield flat

    @contextmanager
    def _merged(self, layers: Sequence[Layer]) -> Generator[Flat, None, None]:
        """The topmost of the layers as one tree, until the end of the block."""
        count = _how_many([layer.level for layer in layers], max(self._max_layers // 3, 2))
        merged, rest = layers[:count], layers[count:]
        with self._staging() as staged:
            opaque = OPAQUE_XATTRS[in_user_namespace()] if rest else None
            flatten([layer.tree for layer in merged], staged / "fs", opaque=opaque)
            level = max(layer.level for layer in merged) + 1
            yield Flat(staged=staged, below=merged[-1].below, level=level, depth=len(rest) + 1)

    @staticmethod
    def _forget_last_mount(work: Path) -> None:
        """Overlayfs refuses a work directory that a volatile mount has used, lest a crash went unnoticed."""
        try:
            marker = work / "work" / "incompat" / "volatile"
            if marker.is_dir():
                remove_tree(marker)
        except PermissionError:
            return  # the one who mounts it can; this process only asks


def _how_many(levels: Sequence[int], enough: int) -> int:
    """How many of the topmost layers to merge: all up to a level, the lowest for which these are enough."""
    for count, (level, below) in enumerate(pairwise(levels), 1):
        if count >= enough and level != below:
            return count
    return len(levels)


def probe_overlay(directory: Path) -> bool:
    """Whether overlayfs works on this file system, with the privileges and in the mount namespace of this process.

    Mounts a small overlay as a step would, writes through it, and unmounts it.

    Args:
        directory: an existing directory of the store, on the file system in question.
    """
    place = directory / f"probe-{os.urandom(8).hex()}"
    lower, upper, work, merged = (place / name for name in ("lower", "upper", "work", "merged"))
    try:
        for path in (lower, upper, work, merged):
            path.mkdir(parents=True)
        (lower / "file").write_bytes(b"lower")
        options = [
            f"lowerdir={_escaped(lower)}",
            f"upperdir={_escaped(upper)}",
            f"workdir={_escaped(work)}",
            "volatile",
        ]
        options += _fixed_options()
        return _mount_and_try(merged, upper, ",".join(options))
    except OSError:
        return False
    finally:
        remove_tree(place)


def _mount_and_try(merged: Path, upper: Path, options: str) -> bool:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"overlay", os.fsencode(merged), b"overlay", 0, options.encode()) != 0:
        return False
    try:
        (merged / "file").unlink()  # needs a whiteout, which not every file system can hold
        (merged / "new").write_bytes(b"upper")
        return (upper / "new").read_bytes() == b"upper" and not (merged / "file").exists()
    except OSError:
        return False
    finally:
        detach = 2
        libc.umount2(os.fsencode(merged), detach)


def _joined(layers: tuple[Path, ...]) -> str:
    return ":".join(_escaped(layer) for layer in layers)


def _escaped(path: Path) -> str:
    """A path as a value among overlayfs's mount options."""
    text = str(path)
    for special in "\\,:":
        text = text.replace(special, "\\" + special)
    return text


def scratch_overlay(lower: Path, upper: Path, work: Path) -> MountSpec:
    """A directory with a layer over it that takes all changes, and that nobody keeps."""
    options = [
        "rw",
        f"lowerdir={_escaped(lower)}",
        f"upperdir={_escaped(upper)}",
        f"workdir={_escaped(work)}",
        "volatile",
        *_fixed_options(),
    ]
    return MountSpec(type="overlay", source="overlay", options=tuple(options))


def _fixed_options() -> list[str]:
    """What every mount has. With `userxattr` overlayfs takes "off" for "follow", and refuses that."""
    if in_user_namespace():
        return [*_FIXED_OPTIONS, "redirect_dir=nofollow", "userxattr"]
    return [*_FIXED_OPTIONS, "redirect_dir=off"]


def in_user_namespace() -> bool:
    """Whether this process is in a user namespace of its own: overlayfs then keeps its marks in `user.overlay.*`."""
    try:
        mapping = Path("/proc/self/uid_map").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return False
    return mapping != ["0", "0", "4294967295"]
