"""Bare repositories, one per remote: what was fetched once is not fetched again, whatever ref is asked for.

A cross-process lock is held on a mirror while it is used. Who may fetch what is the source's business; here they are
directories with a name, a description and an age.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from pybuild.digest import digest_of, short
from pybuild.store.locks import Locks


@attrs.frozen(kw_only=True)
class GitMirrorInfo:
    """One mirror on disk. Times in seconds since the epoch; `remote` has no credentials in it."""

    path: Path
    remote: str
    created: float
    last_used: float

    @property
    def name(self) -> str:
        """The mirror's id."""
        return self.path.name


class GitMirrors:
    """All mirrors of a store.

    Args:
        root: the directory that holds them; made when it is missing.
        locks: cross-process locks.
    """

    def __init__(self, root: Path, locks: Locks) -> None:
        self._root = root
        self._locks = locks

    @contextmanager
    def use(self, remote: str, object_format: str, create: Callable[[Path], None]) -> Generator[Path]:
        """The mirror of a remote, locked for the block.

        Args:
            remote: its URL, without credentials.
            object_format: sha1 or sha256; repositories of both kinds are mirrored apart.
            create: makes a repository in a new, empty directory.
        """
        name = short(digest_of("git", remote, object_format), 32)
        with self._locks.exclusive(_lock(name)):
            directory = self._root / name
            repository = directory / "repository"
            if not repository.is_dir():
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                fresh = directory / f"new-{os.getpid()}-{time.monotonic_ns()}"
                fresh.mkdir()
                create(fresh)
                (directory / "info.json").write_text(json.dumps({"remote": remote, "created": time.time()}))
                fresh.rename(repository)
            try:
                yield repository
            finally:
                os.utime(directory)

    def walk(self) -> Iterator[GitMirrorInfo]:
        """All mirrors."""
        for info in sorted(self._root.glob("*/info.json")):
            try:
                facts = json.loads(info.read_text())
                last_used = info.parent.stat().st_mtime
            except (OSError, ValueError):
                continue
            yield GitMirrorInfo(
                path=info.parent, remote=str(facts["remote"]), created=float(facts["created"]), last_used=last_used
            )

    def in_use(self, info: GitMirrorInfo) -> bool:
        """Whether a build works with it."""
        handle = self._locks.try_exclusive(_lock(info.name))
        if handle is None:
            return True
        handle.release()
        return False

    def try_remove(self, info: GitMirrorInfo, remove_tree: Callable[[Path], None]) -> bool:
        """Remove a mirror unless a build uses it; `remove_tree` is called while it is locked."""
        handle = self._locks.try_exclusive(_lock(info.name))
        if handle is None:
            return False
        with handle:
            remove_tree(info.path)
        return True


def _lock(name: str) -> str:
    return f"git:{name}"
