"""The store as a whole: one directory, its layout and format version, and the parts that keep things in it.

Cheap to open, because every build does it: parts are made when first asked for. Layout of the directory:

    version, snapshotter, place     format number; which snapshotter the snapshots belong to; see recovery.py
    collected, measured             how large it was when it was looked at last; see gcstate.py
    oci-layout, blobs/sha256/<hex>  content, as an OCI image layout
    store.db                        sqlite: snapshots, leases, results, links
    snapshots/<n>/                  directories of snapshots
    cache-mounts/                   directories of cache mounts
    contexts/                       what is known of the files of local directories
    builds/                         what the last builds of each target were
    git/                            bare repositories, one per remote
    ingest/, tmp/                   unfinished things, named after their owner
    leases/, locks/                 files that are locked while somebody lives, or works
"""

from __future__ import annotations

import os
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pybuild.errors import StoreError
from pybuild.store.database import Database
from pybuild.store.locks import Locks
from pybuild.store.recovery import is_elsewhere, note_place, recover
from pybuild.store.space import reporting_full

if TYPE_CHECKING:
    from pybuild.store.cache import SqliteCacheStore
    from pybuild.store.cachemounts import CacheMounts
    from pybuild.store.content import FileContentStore
    from pybuild.store.gc import GarbageCollector
    from pybuild.store.gitmirrors import GitMirrors
    from pybuild.store.images import Images
    from pybuild.store.lease import LeaseManager
    from pybuild.store.native import NativeSnapshotter
    from pybuild.store.overlay import OverlaySnapshotter
    from pybuild.store.treewriter import Whiteouts

FORMAT_VERSION = 1
_DIRECTORIES = (
    "blobs",
    "blobs/sha256",
    "ingest",
    "snapshots",
    "cache-mounts",
    "contexts",
    "builds",
    "git",
    "leases",
    "locks",
    "tmp",
)
_FILES = (
    "version",
    "oci-layout",
    "place",
    "collected",
    "measured",
    "snapshotter",
    "store.db",
    "store.db-wal",
    "store.db-shm",
    "store.db-journal",
)
_OWN_NAMES = frozenset((*_DIRECTORIES, *_FILES, *(f"{name}.new" for name in _FILES)))
_KINDS = ("overlay", "native")


class Store:
    """The store in one directory; any number of processes may have it open. Made by `Store.open`.

    Attributes:
        root: the directory.
        database: its sqlite database.
        locks: cross-process locks.
    """

    def __init__(self, root: Path, snapshotter: str) -> None:
        self.root = root
        self.database = Database(root / "store.db")
        self.locks = Locks(root / "locks")
        self._wanted = snapshotter
        self._snapshots: OverlaySnapshotter | NativeSnapshotter | None = None
        self._leases: LeaseManager | None = None
        self._mutex = threading.Lock()

    @classmethod
    def open(cls, root: Path, *, snapshotter: Literal["auto", "overlay", "native"] = "auto") -> Store:
        """Open the store in `root`, creating it when it is not there yet.

        Args:
            root: the directory.
            snapshotter: what to use in a store that has no snapshots yet. "auto" lets the first process that may
                mount find out whether overlayfs works there.

        Raises:
            StoreError: it has a newer format, or another snapshotter than the one asked for.
            StoreFull: no room to create it.
        """
        root = Path(os.path.abspath(root))  # Path.absolute keeps "..", which mount options should not
        store = cls(root, snapshotter)
        version = _read(root / "version")
        if not version:
            with reporting_full(root):
                store._create()
        elif version != str(FORMAT_VERSION):
            raise StoreError(
                f'the store in "{root}" has format {version}, this pybuild knows format {FORMAT_VERSION}',
                hint="use the pybuild that wrote it, or another --root",
            )
        elif is_elsewhere(root) and os.access(root, os.W_OK):
            recover(store)
        return store

    @cached_property
    def content(self) -> FileContentStore:
        """Blobs by digest."""
        from pybuild.store.content import FileContentStore

        return FileContentStore(self.root, self.leases.owner)

    @cached_property
    def cache(self) -> SqliteCacheStore:
        """Stored results."""
        from pybuild.store.cache import SqliteCacheStore

        return SqliteCacheStore(self.database)

    @property
    def leases(self) -> LeaseManager:
        """Who uses what."""
        with self._mutex:  # two managers would be two owners
            if self._leases is None:
                from pybuild.store.lease import LeaseManager

                self._leases = LeaseManager(self.root / "leases", self.database, self.cache)
            return self._leases

    @cached_property
    def cache_mounts(self) -> CacheMounts:
        """Directories of cache mounts."""
        from pybuild.store.cachemounts import CacheMounts

        return CacheMounts(self.root / "cache-mounts", self.locks)

    @cached_property
    def git_mirrors(self) -> GitMirrors:
        """Bare repositories of git sources."""
        from pybuild.store.gitmirrors import GitMirrors

        return GitMirrors(self.root / "git", self.locks)

    @cached_property
    def images(self) -> Images:
        """Images by name."""
        from pybuild.store.images import Images

        return Images(self.database)

    @cached_property
    def gc(self) -> GarbageCollector:
        """Disk usage, and getting rid of it."""
        from pybuild.store.gc import GarbageCollector

        return GarbageCollector(self)

    @property
    def snapshots(self) -> OverlaySnapshotter | NativeSnapshotter:
        """Layered file trees.

        The first process that is root, if only in its user namespace, decides for all later ones which kind it is.

        Raises:
            StoreError: the store has another snapshotter than the one asked for.
        """
        if self._snapshots is None:
            kind = _read(self.root / "snapshotter") or self._decide()
            if not kind:  # nothing was ever written, so it does not matter how it is read
                return self._snapshotter("native")
            if self._wanted not in ("auto", kind):
                raise StoreError(
                    f'the store in "{self.root}" has {kind} snapshots, not {self._wanted} ones',
                    hint="use another --root",
                )
            self._snapshots = self._snapshotter(kind)
        return self._snapshots

    @property
    def whiteouts(self) -> Whiteouts:
        """How removals are recorded in the directories of this store's snapshots, as seen by this process."""
        if self.snapshots.name == "native":
            return "native"
        from pybuild.store.overlay import in_user_namespace

        return "userxattr" if in_user_namespace() else "overlay"

    def missing_directories(self) -> list[Path]:
        """Parts of the layout that are not there."""
        return [self.root / name for name in _DIRECTORIES if not (self.root / name).is_dir()]

    def start_over(self) -> None:
        """Begin with a new database, because the old one is damaged: no snapshot, result or image is known any more."""
        from pybuild.store.metadata import SCHEMA

        self.database.remove()
        self.database.ensure(SCHEMA)

    def close(self) -> None:
        """Give up what this store object owns: its unfinished snapshots and files are garbage from now on."""
        if self._leases is not None:
            self._leases.close()
        self.database.close()

    def _snapshotter(self, kind: str) -> OverlaySnapshotter | NativeSnapshotter:
        if kind not in _KINDS:
            raise StoreError(f'the store in "{self.root}" has unknown snapshots of kind "{kind}"')
        owner = self.leases.owner
        if kind == "native":
            from pybuild.store.native import NativeSnapshotter

            return NativeSnapshotter(self.root, self.database, owner)
        from pybuild.store.overlay import OverlaySnapshotter

        return OverlaySnapshotter(self.root, self.database, owner)

    def _decide(self) -> str:
        """Settle the kind of snapshots and write it down; "" when this process cannot know."""
        if self._wanted == "auto" and os.geteuid() != 0:
            return ""
        with self.locks.exclusive("snapshotter"):
            path = self.root / "snapshotter"
            kind = _read(path)
            if kind:
                return kind
            kind = self._wanted
            if kind == "auto":
                from pybuild.store.overlay import probe_overlay

                kind = "overlay" if probe_overlay(self.root / "tmp") else "native"
            _write(path, kind)
            return kind

    def _create(self) -> None:
        """Make the layout; the version is written last, so that nobody uses half a store."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            foreign = sorted({path.name for path in self.root.iterdir()} - _OWN_NAMES)
            if foreign:
                raise StoreError(
                    f'"{self.root}" is not a store: it holds "{foreign[0]}"',
                    hint="give --root a new or empty directory",
                )
            (self.root / "locks").mkdir(mode=0o700, exist_ok=True)
            with self.locks.exclusive("create"):
                if _read(self.root / "version"):
                    return
                self.root.chmod(0o700)
                for name in _DIRECTORIES:
                    (self.root / name).mkdir(mode=0o700, exist_ok=True)
                _write(self.root / "oci-layout", '{"imageLayoutVersion":"1.0.0"}')
                self.leases.sweep()  # creates the tables, of the cache and the snapshots too
                note_place(self.root)
                _write(self.root / "version", str(FORMAT_VERSION))
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise StoreError(
                f'cannot create a store in "{self.root}": {error.strerror}',
                hint="choose another with --root or PYBUILD_ROOT",
            ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (NotADirectoryError, PermissionError) as error:
        raise StoreError(
            f'cannot open the store: "{path}": {error.strerror}', hint="choose another with --root"
        ) from error


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text + "\n", encoding="utf-8")
    fresh.replace(path)
