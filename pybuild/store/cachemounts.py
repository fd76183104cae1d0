"""Cache mounts on disk: directories that outlive builds, found again by identity.

An identity (cache id, and the tree that the cache starts from) has one or more instances, numbered from 0. Shared
and locked mounts use instance 0; private ones take any idle instance. A cross-process lock is held on an instance
while a step uses it. Semantics: RUN --mount=type=cache (BuildKit's solver/llbsolver/mounts/mount.go).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import attrs

from pybuild.digest import digest_of, short
from pybuild.errors import AlreadyExists
from pybuild.llb.mounts import Sharing
from pybuild.store.treecopy import remove_tree


class Handle(Protocol):
    """A held lock."""

    def release(self) -> None:
        """Give it back."""
        ...


class Locks(Protocol):
    """The locks that cache mounts need."""

    def try_exclusive(self, name: str) -> Handle | None:
        """The lock, or None when somebody has it in any mode."""
        ...

    def try_shared(self, name: str) -> Handle | None:
        """The lock in shared mode, or None when somebody has it exclusively."""
        ...


@attrs.frozen(kw_only=True)
class CacheDirectory:
    """A cache directory in use. `path` holds the tree; `release` gives the instance back."""

    path: Path
    handle: Handle

    def release(self) -> None:
        """Let others use the instance."""
        os.utime(self.path.parent)
        self.handle.release()


@attrs.frozen(kw_only=True)
class CacheMountInfo:
    """One instance on disk. Times in seconds since the epoch."""

    path: Path
    cache_id: str
    instance: int
    created: float
    last_used: float


class CacheMounts:
    """All cache mounts of a store.

    Args:
        root: the directory that holds them.
        locks: cross-process locks.
    """

    def __init__(self, root: Path, locks: Locks) -> None:
        self._root = root
        self._locks = locks

    def try_acquire(
        self, cache_id: str, base: str, sharing: Sharing, populate: Callable[[Path], None]
    ) -> CacheDirectory | None:
        """Take an instance, or return None when it has to be waited for.

        Args:
            cache_id: as the user wrote it, with its namespace.
            base: the key of the snapshot that the cache starts from, "" for an empty directory. Another base is
                another cache.
            sharing: how to share it.
            populate: called once with a new, empty directory.
        """
        name = short(digest_of("cache-mount", cache_id, base), 32)
        directory = self._root / name
        instance = self._generation(directory)
        while True:
            lock = f"cache-mount:{name}:{instance}"
            handle = self._locks.try_shared(lock) if sharing is Sharing.SHARED else self._locks.try_exclusive(lock)
            if handle is not None:
                break
            if sharing is not Sharing.PRIVATE:
                return None
            instance += 1
        path = self._create(directory, instance, cache_id, populate)
        if path is None:
            handle.release()
            return None
        return CacheDirectory(path=path, handle=handle)

    def forget(self, cache_id: str, base: str) -> None:
        """Start empty next time: steps from now on use new instances; those in use go on with theirs."""
        directory = self._root / short(digest_of("cache-mount", cache_id, base), 32)
        numbers = [int(path.name) for path in directory.glob("[0-9]*")] if directory.is_dir() else []
        if numbers:
            _write_text(directory / "generation", str(max(numbers) + 1))

    def current(self, cache_id: str) -> tuple[CacheMountInfo, ...]:
        """The instances of a cache that steps use from now on; several where steps want caches of their own.

        Those that start from a tree come after those that start empty.
        """
        plain = short(digest_of("cache-mount", cache_id, ""), 32)
        found = [
            info
            for info in self.walk()
            if info.cache_id == cache_id and info.instance >= self._generation(info.path.parent)
        ]
        return tuple(sorted(found, key=lambda info: (info.path.parent.name != plain, info.path)))

    def replace(self, cache_id: str, populate: Callable[[Path], None]) -> None:
        """Give a cache that starts empty other content; steps that run go on with what they have.

        Args:
            cache_id: as the user wrote it, with its namespace.
            populate: called with a new, empty directory; when it raises, everything stays as it was.
        """
        directory = self._root / short(digest_of("cache-mount", cache_id, ""), 32)
        numbers = [int(path.name) for path in directory.glob("[0-9]*")] if directory.is_dir() else []
        instance = max(numbers, default=-1) + 1
        fresh = directory / str(instance)
        try:
            if self._create(directory, instance, cache_id, populate) is None:
                raise AlreadyExists(f'another process replaces the cache "{cache_id}" at this moment')
        except BaseException:
            if not (fresh / "tree").exists():
                remove_tree(fresh)
            raise
        _write_text(directory / "generation", str(instance))

    def _generation(self, directory: Path) -> int:
        try:
            return int((directory / "generation").read_text())
        except (OSError, ValueError):
            return 0

    def _create(self, directory: Path, instance: int, cache_id: str, populate: Callable[[Path], None]) -> Path | None:
        """The tree of an instance, made complete before anybody can see it; None while another process makes it."""
        tree = directory / str(instance) / "tree"
        if tree.is_dir():
            return tree
        handle = self._locks.try_exclusive(f"cache-mount-new:{directory.name}:{instance}")
        if handle is None:
            return None
        try:
            if tree.is_dir():
                return tree
            tree.parent.mkdir(parents=True, exist_ok=True)
            fresh = tree.parent / f"new-{os.getpid()}-{time.monotonic_ns()}"
            fresh.mkdir(mode=0o755)
            fresh.chmod(0o755)
            populate(fresh)
            _write_text(tree.parent / "info.json", json.dumps({"id": cache_id, "created": time.time()}))
            fresh.rename(tree)
        finally:
            handle.release()
        return tree

    def walk(self) -> Iterator[CacheMountInfo]:
        """All complete instances."""
        for info in sorted(self._root.glob("*/[0-9]*/info.json")):
            try:
                facts = json.loads(info.read_text())
                last_used = info.parent.stat().st_mtime
            except (OSError, ValueError):
                continue
            yield CacheMountInfo(
                path=info.parent,
                cache_id=str(facts["id"]),
                instance=int(info.parent.name),
                created=float(facts["created"]),
                last_used=last_used,
            )

    def try_remove(self, info: CacheMountInfo, remove_tree: Callable[[Path], None]) -> bool:
        """Remove an instance unless a step uses it.

        Args:
            info: what `walk` gave.
            remove_tree: deletes a directory; called while the instance is locked.
        """
        handle = self._locks.try_exclusive(f"cache-mount:{info.path.parent.name}:{info.instance}")
        if handle is None:
            return False
        try:
            remove_tree(info.path)
        finally:
            handle.release()
        return True


def _write_text(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_text(text)
    fresh.replace(path)
