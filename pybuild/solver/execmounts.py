"""The mounts of one exec step, from graph values to what the runtime binds into the container.

Opens each mount's source (a snapshot view, a writable copy, a cache directory, a secret's file), makes its mount
point, and closes everything again in reverse. Which trees become results is remembered in `outputs`.
Semantics: BuildKit's solver/llbsolver/mounts/mount.go and the tables of the Dockerfile reference for RUN --mount.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self, assert_never

from pybuild.errors import SecretNotFound, SolveError
from pybuild.llb.mounts import NO_INPUT, BindMount, CacheMount, Mount, SecretMount, Sharing, SshMount, TmpfsMount
from pybuild.llb.ops import ExecOp
from pybuild.llb.paths import clean
from pybuild.protocols import BoundMount, MountSpec, Ref, Session
from pybuild.runtime.etcfiles import TARGETS as ETC_TARGETS
from pybuild.runtime.mount import mounted
from pybuild.solver.mountpoints import MountPoints, drop_copies, nested, opened_in, resolve_in
from pybuild.store.cachemounts import CacheDirectory
from pybuild.store.overlay import scratch_overlay
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree
from pybuild.store.treecopy import copy_attributes

MAX_SECRET_BYTES = 500 * 1024
_LOCK_POLL_SECONDS = 0.05


class ExecMounts:
    """Opens and closes the mounts of one step. All methods block; use as a context manager.

    Args:
        store: the store.
        session: where secrets and agents come from.
        work: an empty directory of the step on a private memory file system.
        op: the step.
        inputs: the trees of its inputs.
        hold: called with the key of every snapshot made here, so that the build's lease keeps it.
        fresh_caches: forget the step's cache mounts first (a step that runs with its cache switched off).
        discard: what is written into cache mounts is thrown away, and nobody waits for them.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        work: Path,
        op: ExecOp,
        inputs: Sequence[Ref],
        hold: Callable[[str], None],
        *,
        fresh_caches: bool = False,
        discard: bool = False,
    ) -> None:
        self._store = store
        self._session = session
        self._work = work
        self._op = op
        self._inputs = inputs
        self._hold = hold
        self._fresh_caches = fresh_caches
        self._throw_away = discard
        self._stack = ExitStack()
        self._caches: dict[tuple[str, str], Path] = {}
        self._touched: set[str] = set()
        self._counter = 0
        self.rootfs = work / "rootfs"
        self.root_tree = LayeredTree(())
        self.bound: list[BoundMount] = []
        self.secrets: dict[str, bytes] = {}
        """The values of secrets that the step was given, by id."""
        self.outputs: dict[int, str] = {}
        """Active snapshot key by output index."""

    def __enter__(self) -> Self:
        try:
            self._open_all()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        root = self.outputs.get(self._op.mounts[0].output)
        if root is not None and self._touched and self._store.snapshots.name == "overlay":
            drop_copies(self._store.snapshots.upper(root), self.root_tree, self._touched)

    def _open_all(self) -> None:
        targets = [clean(mount.target) for mount in self._op.mounts]
        root = self._op.mounts[0]
        assert isinstance(root, BindMount)
        self._open_root(root)
        points = MountPoints(self.rootfs)
        self._touched = points.touched
        self._stack.callback(points.clean)
        for target in ETC_TARGETS:
            if not nested(target, targets):
                points.prepare(target, is_directory=False)
        for mount, target in sorted(zip(self._op.mounts[1:], targets[1:], strict=True), key=lambda pair: pair[1]):
            for bound, is_directory in self._open(mount):
                place = bound.target
                if not nested(target, targets):
                    # runc gives a tmpfs the mode of its mount point; one that is not there yet is free for all.
                    mode = 0o1777 if bound.type == "tmpfs" else 0o755
                    place = points.prepare(place, is_directory=is_directory, mode=mode)
                self.bound.append(BoundMount(target=place, type=bound.type, source=bound.source, options=bound.options))

    # -------------------------------------------------------------------------------------------- snapshots

    def _open_root(self, mount: BindMount) -> None:
        self.rootfs.mkdir()
        parent = self._snapshot(mount.input)
        if parent:
            self.root_tree = LayeredTree(self._store.snapshots.lowers(parent))
        if mount.readonly:
            self._mount_view(parent, self.rootfs)
        else:
            self._mount_active(mount, parent, self.rootfs)

    def _snapshot(self, number: int) -> str:
        return self._inputs[number].snapshot if number != NO_INPUT else ""

    def _mount_active(self, mount: BindMount, parent: str, target: Path) -> None:
        """A writable copy of `parent`: a result when the mount has an output, otherwise thrown away."""
        key = f"active-{uuid.uuid4().hex}"
        self._hold(key)
        specs = self._store.snapshots.prepare(key, parent)
        if mount.output >= 0:
            self.outputs[mount.output] = key
        self._stack.callback(self._discard, key)
        self._stack.enter_context(mounted(specs, target))

    def _discard(self, key: str) -> None:
        if key not in self.outputs.values():
            self._store.snapshots.remove(key)

    def _mount_view(self, snapshot: str, target: Path) -> None:
        if snapshot:
            self._stack.enter_context(mounted(self._store.snapshots.mounts(snapshot), target))

    def _new_dir(self) -> Path:
        self._counter += 1
        directory = self._work / f"mount-{self._counter}"
        directory.mkdir()
        return directory

    # ------------------------------------------------------------------------------------------ mount kinds

    def _open(self, mount: Mount) -> list[tuple[BoundMount, bool]]:
        match mount:
            case BindMount():
                return [self._open_bind(mount)]
            case CacheMount():
                return [self._open_cache(mount)]
            case TmpfsMount():
                options = [
                    "nosuid",
                    *([f"size={mount.size}"] if mount.size else []),
                    *(["ro"] if mount.readonly else []),
                ]
                return [(BoundMount(target=mount.target, type="tmpfs", source="tmpfs", options=tuple(options)), True)]
            case SecretMount():
                found = self._open_secret(mount)
                return [] if found is None else [(found, False)]
            case SshMount():
                found = self._open_ssh(mount)
                return [] if found is None else [(found, False)]
            case _:
                assert_never(mount)

    def _open_bind(self, mount: BindMount) -> tuple[BoundMount, bool]:
        directory = self._new_dir()
        parent = self._snapshot(mount.input)
        if mount.readonly:
            self._mount_view(parent, directory)
        else:
            self._mount_active(mount, parent, directory)
        return self._bind(mount.target, directory, mount.selector, readonly=mount.readonly)

    def _open_cache(self, mount: CacheMount) -> tuple[BoundMount, bool]:
        base = self._snapshot(mount.input)
        tree = self._caches.get((mount.cache_id, base))
        if tree is None:
            if self._fresh_caches:
                self._store.cache_mounts.forget(mount.cache_id, base)
            tree = self._peek_cache(mount, base) if self._throw_away else self._acquire_cache(mount, base)
            self._caches[mount.cache_id, base] = tree
        return self._bind(mount.target, tree, mount.selector, readonly=mount.readonly)

    def _acquire_cache(self, mount: CacheMount, base: str) -> Path:
        taken = self._wait_for_cache(mount, base, mount.sharing)
        self._stack.callback(taken.release)
        return taken.path

    def _wait_for_cache(self, mount: CacheMount, base: str, sharing: Sharing) -> CacheDirectory:
        def populate(target: Path) -> None:
            if base:
                copy_tree(LayeredTree(self._store.snapshots.lowers(base)), target)

        while True:
            taken = self._store.cache_mounts.try_acquire(mount.cache_id, base, sharing, populate)
            if taken is not None:
                return taken
            time.sleep(_LOCK_POLL_SECONDS)

    def _peek_cache(self, mount: CacheMount, base: str) -> Path:
        """The cache with a layer of memory over it. It is not held: somebody may look around for hours."""
        taken = self._wait_for_cache(mount, base, Sharing.SHARED)
        taken.release()
        place = self._new_dir()
        for name in ("upper", "work", "tree"):
            (place / name).mkdir()
        copy_attributes(taken.path, taken.path.lstat(), place / "upper")
        spec = scratch_overlay(taken.path, place / "upper", place / "work")
        self._stack.enter_context(mounted([spec], place / "tree"))
        return place / "tree"

    def _bind(self, target: str, directory: Path, selector: str, *, readonly: bool) -> tuple[BoundMount, bool]:
        source = directory if clean(selector) == "/" else self._selected(target, directory, selector)
        is_directory = stat.S_ISDIR(source.stat().st_mode)
        options = ("rbind", "ro") if readonly else ("rbind", "rw")
        return BoundMount(target=target, type="bind", source=str(source), options=options), is_directory

    def _selected(self, target: str, directory: Path, selector: str) -> Path:
        """A path inside a mount's source, bound to a place that nobody can change.

        The runtime binds by name, later: a step that runs beside this one, with the same cache, could put a link
        there meanwhile, which would lead out of it.
        """
        path = resolve_in(str(directory), selector)
        try:
            with opened_in(str(directory), path, os.O_PATH) as found:
                if stat.S_ISLNK(os.fstat(found).st_mode):
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                place = self._new_dir()
                if not stat.S_ISDIR(os.fstat(found).st_mode):
                    place /= "file"
                    place.touch()
                bound = MountSpec(type="bind", source=f"/proc/self/fd/{found}", options=("rbind",))
                self._stack.enter_context(mounted([bound], place))
                return place
        except OSError as error:
            what = "not found" if error.errno == errno.ENOENT else error.strerror
            hint = f'the source of the mount at "{target}" has no such path'
            raise SolveError(f'"{clean(selector)}": {what}', hint=hint if what == "not found" else "") from None

    def _open_secret(self, mount: SecretMount) -> BoundMount | None:
        value = self.secret(mount.secret_id, optional=mount.optional)
        if value is None:
            return None
        self._counter += 1
        path = self._work / f"secret-{self._counter}"
        mode = mount.mode & 0o777
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o400), "wb") as file:
            file.write(value)
        os.chown(path, mount.uid, mount.gid)
        os.chmod(path, mode)
        options = ["rbind", "ro", "nosuid", "nodev", *([] if mode & 0o111 else ["noexec"])]
        return BoundMount(target=mount.target, type="bind", source=str(path), options=tuple(options))

    def secret(self, secret_id: str, *, optional: bool) -> bytes | None:
        """A secret's bytes, asked for once per step; None when it is absent and optional.

        Raises:
            SecretNotFound: absent and required.
            SolveError: larger than 500 KiB.
        """
        if secret_id in self.secrets:
            return self.secrets[secret_id]
        value = self._session.secret(secret_id)
        if value is None:
            if optional:
                return None
            raise SecretNotFound(secret_id)
        if len(value) > MAX_SECRET_BYTES:
            raise SolveError(f"secret {secret_id} is too big: {len(value)} bytes, at most {MAX_SECRET_BYTES}")
        self.secrets[secret_id] = value
        return value

    def _open_ssh(self, mount: SshMount) -> BoundMount | None:
        agent_id = mount.agent_id or "default"
        agent = self._session.ssh_socket(agent_id)
        if agent is None:
            if mount.optional:
                return None
            raise SolveError(f"unset ssh forward key {agent_id}", hint=f"forward an agent: --ssh {agent_id}")
        from pybuild.session.agentproxy import AgentProxy

        self._counter += 1
        path = self._work / f"ssh-{self._counter}"
        proxy = AgentProxy(path, agent, uid=mount.uid, gid=mount.gid, mode=mount.mode & 0o777)
        self._stack.enter_context(proxy)
        return BoundMount(target=mount.target, type="bind", source=str(path), options=("rbind", "ro"))


def copy_tree(tree: LayeredTree, target: Path) -> None:
    """Copy a whole tree into an empty directory that nobody else uses; files become independent of their source."""
    from pybuild.store.treewriter import copy_into

    copy_into(tree, target)
