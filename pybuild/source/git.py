"""Git repositories as sources: `git://HOST/PATH#REF:SUBDIR`, identified by their commit.

A whole commit id needs no network to be planned, and none at all when it was checked out before. Otherwise one
question per build tells what the ref stands for now. Mirrors BuildKit's source/git.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pybuild.digest import Digest, digest_of, short
from pybuild.errors import AlreadyExists, NotFound
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.platform import Platform
from pybuild.protocols import Ref, Session, SourceMetadata
from pybuild.source import gitmirror
from pybuild.source.gitcheckout import checkout, object_format
from pybuild.source.gitcommand import git_for
from pybuild.source.gitresolve import Resolved, check, parse_resolved, resolve, resolved_offline
from pybuild.source.gitsettings import GitSettings, git_settings
from pybuild.store.contenthash import Selection
from pybuild.store.hashmemo import ContentHasher
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree

Pins = MutableMapping[str, str]
"""What sources found out, for everybody who works on one build: it sees one commit per ref, even if that moves."""


class GitSource:
    """See solver.sources.Source. Thread-safe.

    Args:
        store: where mirrors and checkouts are kept.
        session: has secrets and agents.
        pins: what refs stand for in this build.
    """

    def __init__(self, store: Store, session: Session, pins: Pins) -> None:
        self._store = store
        self._session = session
        self._pins = pins
        self._lock = threading.Lock()

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See solver.sources.Source."""
        assert isinstance(vertex.op, SourceOp)
        return SourceMetadata(identifier=vertex.op.identifier)

    def key(self, vertex: Vertex, platform: Platform) -> str:
        """See solver.sources.Source: the commit, and how it is checked out."""
        del platform  # a repository is the same for all
        settings, resolved = self._resolved(vertex)
        return f"git:{_key(settings, resolved)}"

    def tree(self, vertex: Vertex, platform: Platform) -> tuple[LayeredTree, Callable[[str, Selection], Digest]] | None:
        """See solver.sources.Source: its tree, when it was checked out before."""
        name = self._snapshot(vertex)
        if not self._exists(name):
            return None
        tree = LayeredTree(self._store.snapshots.lowers(name))
        hasher = ContentHasher(self._store.database)
        return tree, partial(hasher.digest, name, tree)

    def is_here(self, vertex: Vertex, platform: Platform) -> bool:
        """See solver.sources.Source."""
        return self._exists(self._snapshot(vertex))

    def fetch(self, vertex: Vertex, platform: Platform, hold: Callable[[str], None]) -> Ref:
        """See solver.sources.Source: fetches what is missing in the mirror, and checks it out."""
        settings, resolved = self._resolved(vertex)
        name = _snapshot_name(settings, resolved)
        hold(name)
        if not self._exists(name):
            with self._store.locks.exclusive(f"checkout:{name}"):
                if not self._exists(name):
                    self._bring_in(settings, resolved, name)
        return Ref(snapshot=name)

    def _resolved(self, vertex: Vertex) -> tuple[GitSettings, Resolved]:
        assert isinstance(vertex.op, SourceOp)
        settings = git_settings(vertex.op)
        resolved = resolved_offline(settings)
        if resolved is None:
            pin = _pin(settings)
            with self._lock:
                if pin not in self._pins:
                    with git_for(settings, self._session) as git:
                        self._pins[pin] = resolve(git).text
                resolved = parse_resolved(self._pins[pin])
        check(settings, resolved)
        return settings, resolved

    def _bring_in(self, settings: GitSettings, resolved: Resolved, name: str) -> None:
        with git_for(settings, self._session) as git:
            kind = object_format(resolved.sha)

            def create(directory: Path) -> None:
                gitmirror.create(git, directory, kind)

            with self._store.git_mirrors.use(git.url, kind, create) as mirror:
                gitmirror.fetch(git, mirror, resolved)
                with self._scratch() as scratch:
                    description = f"git checkout of {settings.shown}#{resolved.ref}"
                    self._commit(name, description, lambda target: checkout(git, mirror, resolved, target, scratch))

    @contextmanager
    def _scratch(self) -> Generator[Path]:
        """A directory that is garbage when this process dies."""
        directory = self._store.root / "tmp" / f"{self._store.leases.owner()}-git-{os.urandom(8).hex()}"
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _commit(self, name: str, description: str, fill: Callable[[Path], None]) -> None:
        snapshots = self._store.snapshots
        key = f"git-{self._store.leases.owner()}-{short(digest_of(name))}"
        try:
            snapshots.prepare(key)
        except AlreadyExists:  # a thread of this process failed half-way
            snapshots.remove(key)
            snapshots.prepare(key)
        try:
            fill(snapshots.upper(key))
            snapshots.commit(name, key, labels={"description": description})
        except BaseException:
            snapshots.abandon(key)
            raise

    def _snapshot(self, vertex: Vertex) -> str:
        return _snapshot_name(*self._resolved(vertex))

    def _exists(self, name: str) -> bool:
        try:
            self._store.snapshots.stat(name)
        except NotFound:
            return False
        return True


def _key(settings: GitSettings, resolved: Resolved) -> str:
    # Without `.git`, an annotated tag and its commit are the same checkout.
    sha = resolved.sha if settings.keep_git_dir else resolved.commit or resolved.sha
    return settings.key(sha, resolved.ref)


def _snapshot_name(settings: GitSettings, resolved: Resolved) -> str:
    return f"git-{short(digest_of('git', _key(settings, resolved)), 32)}"


def _pin(settings: GitSettings) -> str:
    """What a ref of a repository is called among a build's pins."""
    return f"git:{digest_of(settings.url.remote, settings.ref)}"


def commit_of(op: SourceOp, pins: Mapping[str, str]) -> str:
    """The commit that a source of a finished build stood for; "" when the build never asked.

    Args:
        op: the source.
        pins: of the build.
    """
    settings = git_settings(op)
    resolved = resolved_offline(settings)
    if resolved is None:
        text = pins.get(_pin(settings))
        resolved = None if text is None else parse_resolved(text)
    return "" if resolved is None else resolved.commit or resolved.sha
