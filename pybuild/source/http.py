"""Files behind URLs as sources: `http://...` and `https://...`, identified by their content.

With a checksum nothing is asked before the file is needed, and nothing at all when it is there. Otherwise the server
is asked once per build whether what it sent last still holds (ETag, Last-Modified). Mirrors BuildKit's source/http.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, MutableMapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING

import attrs

from pybuild.digest import Digest, digest_of, short
from pybuild.errors import AlreadyExists, NotFound, SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.platform import Platform
from pybuild.protocols import Ref, Session, SourceMetadata
from pybuild.source.httpsettings import HttpSettings, file_name, http_settings
from pybuild.store.attributes import Attributes
from pybuild.store.contenthash import Selection
from pybuild.store.database import Database
from pybuild.store.hashmemo import ContentHasher
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree
from pybuild.store.treewriter import TreeWriter

if TYPE_CHECKING:
    from pybuild.source.httpclient import Answer, Known

_SCHEMA = """
CREATE TABLE IF NOT EXISTS http_answers (
    request TEXT PRIMARY KEY, digest TEXT NOT NULL, etag TEXT NOT NULL, modified TEXT NOT NULL,
    disposition TEXT NOT NULL
) WITHOUT ROWID;
"""


@attrs.frozen(kw_only=True)
class Found:
    """What a URL stands for in this build: the digest of the content, the file's name, and the server's Last-Modified.

    `pinned`: the digest is the definition's own, and nothing was asked.
    """

    digest: str
    filename: str
    modified: str = ""
    pinned: bool = False


class HttpSource:
    """See solver.sources.Source. Thread-safe.

    Args:
        store: where files are kept.
        session: has the credentials.
        pins: what URLs stand for in this build.
    """

    def __init__(self, store: Store, session: Session, pins: MutableMapping[str, str]) -> None:
        self._store = store
        self._session = session
        self._pins = pins
        self._lock = threading.Lock()

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See solver.sources.Source."""
        assert isinstance(vertex.op, SourceOp)
        return SourceMetadata(identifier=vertex.op.identifier)

    def key(self, vertex: Vertex, platform: Platform) -> str:
        """See solver.sources.Source: the content, and how its file looks."""
        del platform  # a file is the same for all
        settings, found = self._found(vertex)
        return settings.key(found.digest, found.filename, found.modified)

    def tree(self, vertex: Vertex, platform: Platform) -> tuple[LayeredTree, Callable[[str, Selection], Digest]] | None:
        """See solver.sources.Source: its tree, when it was brought in before."""
        name = _snapshot_name(*self._found(vertex))
        if not self._exists(name):
            return None
        tree = LayeredTree(self._store.snapshots.lowers(name))
        return tree, partial(ContentHasher(self._store.database).digest, name, tree)

    def is_here(self, vertex: Vertex, platform: Platform) -> bool:
        """See solver.sources.Source."""
        return self._exists(_snapshot_name(*self._found(vertex)))

    def fetch(self, vertex: Vertex, platform: Platform, hold: Callable[[str], None]) -> Ref:
        """See solver.sources.Source: downloads what is not there, and makes a tree of it."""
        settings, found = self._found(vertex)
        name = _snapshot_name(settings, found)
        hold(name)
        if not self._exists(name):
            with self._store.locks.exclusive(f"http:{name}"), self._store.leases.lease() as lease:
                lease.add("content", found.digest)
                if not self._exists(name):
                    self._bring_in(settings, found, name)
        return Ref(snapshot=name)

    # --------------------------------------------------------------------------------------------- asking

    def _found(self, vertex: Vertex) -> tuple[HttpSettings, Found]:
        assert isinstance(vertex.op, SourceOp)
        settings = http_settings(vertex.op)
        if settings.checksum:
            return settings, Found(digest=settings.checksum, filename=file_name(settings), pinned=True)
        pin = _pin(settings)
        with self._lock:
            if pin not in self._pins:
                with self._store.locks.exclusive(pin):
                    answer = self._download(settings)
                told = {"digest": answer.digest, "modified": answer.modified, "disposition": answer.disposition}
                self._pins[pin] = json.dumps(told)
            told = json.loads(self._pins[pin])
        return settings, Found(
            digest=str(told["digest"]),
            filename=file_name(settings, str(told["disposition"])),
            modified=str(told["modified"]),
        )

    def _download(self, settings: HttpSettings, *, anew: bool = False) -> Answer:
        from pybuild.source.httpclient import HttpDownload

        known = None if anew else self._known(settings)
        answer = HttpDownload(settings, self._session).get(known, self._store.content.writer)
        if answer.fresh:
            row = (settings.request, answer.digest, answer.etag, answer.modified, answer.disposition)
            with self._database.write() as connection:
                connection.execute("INSERT OR REPLACE INTO http_answers VALUES (?, ?, ?, ?, ?)", row)
        return answer

    def _known(self, settings: HttpSettings) -> Known | None:
        """The last answer, when there is a way to ask whether it holds, and its content is still here."""
        from pybuild.source.httpclient import Known

        row = self._database.connection.execute(
            "SELECT digest, etag, modified, disposition FROM http_answers WHERE request = ?", (settings.request,)
        ).fetchone()
        if row is None or not (row[1] or row[2]):
            return None
        known = Known(digest=str(row[0]), etag=str(row[1]), modified=str(row[2]), disposition=str(row[3]))
        found = Found(digest=known.digest, filename=file_name(settings, known.disposition), modified=known.modified)
        here = self._has_content(known.digest) or self._exists(_snapshot_name(settings, found))
        return known if here else None

    # ------------------------------------------------------------------------------------------- bringing in

    def _bring_in(self, settings: HttpSettings, found: Found, name: str) -> None:
        digest, modified = found.digest, found.modified
        if not self._has_content(digest):
            answer = self._download(settings, anew=True)
            if not found.pinned and answer.digest != digest:
                raise _changed(settings, digest, answer.digest)
            digest, modified = answer.digest, answer.modified
        elif found.pinned:
            modified = self._modified(settings, digest)
        snapshots = self._store.snapshots
        key = f"http-{self._store.leases.owner()}-{short(name)}"
        try:
            snapshots.prepare(key)
        except AlreadyExists:  # a thread of this process failed half-way
            snapshots.remove(key)
            snapshots.prepare(key)
        try:
            attributes = Attributes(settings.permissions, settings.uid, settings.gid, _time_ns(modified))
            with self._store.content.open(Digest(digest)) as content:
                writer = TreeWriter((), snapshots.upper(key), whiteouts="native")
                writer.write_file(f"/{found.filename}", content, attributes)
            snapshots.commit(name, key, labels={"description": f"http url {settings.shown}"})
        except BaseException:
            snapshots.abandon(key)
            raise

    def _modified(self, settings: HttpSettings, digest: str) -> str:
        query = "SELECT modified FROM http_answers WHERE request = ? AND digest = ?"
        row = self._database.connection.execute(query, (settings.request, digest)).fetchone()
        return "" if row is None else str(row[0])

    def _has_content(self, digest: str) -> bool:
        if not digest.startswith("sha256:"):
            return False
        try:
            self._store.content.info(Digest(digest))
        except NotFound:
            return False
        return True

    def _exists(self, name: str) -> bool:
        try:
            self._store.snapshots.stat(name)
        except NotFound:
            return False
        return True

    @property
    def _database(self) -> Database:
        self._store.database.ensure(_SCHEMA)
        return self._store.database


def _changed(settings: HttpSettings, before: str, now: str) -> SourceFetchError:
    return SourceFetchError(
        f"digest mismatch for {settings.shown}: {now} (expected: {before})",
        transient=True,
        hint="it changed while the build went on; build again",
    )


def _snapshot_name(settings: HttpSettings, found: Found) -> str:
    return f"http-{short(digest_of(settings.key(found.digest, found.filename, found.modified)), 32)}"


def _time_ns(modified: str) -> int:
    """The file's time: the server's, or the epoch."""
    try:
        return int(parsedate_to_datetime(modified).timestamp()) * 1_000_000_000 if modified else 0
    except ValueError:
        return 0


def _pin(settings: HttpSettings) -> str:
    """What a request is called among a build's pins."""
    return f"http:{settings.request}"


def download_of(op: SourceOp, pins: Mapping[str, str]) -> Digest | None:
    """The digest of what a source of a finished build stood for; None when the build never asked.

    Args:
        op: the source.
        pins: of the build.
    """
    settings = http_settings(op)
    if settings.checksum:
        return Digest(settings.checksum)
    told = pins.get(_pin(settings))
    return None if told is None else Digest(str(json.loads(told)["digest"]))
