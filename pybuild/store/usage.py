"""What takes up space in the store: one record per thing that can be removed on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from pybuild.digest import Digest
from pybuild.errors import NotFound
from pybuild.store.steplogs import log_size

if TYPE_CHECKING:
    from pybuild.store.store import Store

RecordKind: TypeAlias = Literal["snapshot", "content", "cache-mount", "git-mirror", "ingest", "record"]


@attrs.frozen(kw_only=True)
class UsageRecord:
    """One thing on disk.

    Args:
        id: a snapshot's key, a blob's digest, a cache mount's id and instance, a mirror's or a file's name, a record's
            place.
        size: bytes on disk, without parents.
        created: seconds since the epoch.
        last_used: seconds since the epoch.
        usage_count: in how many builds it was used.
        in_use: a running build refers to it, or an unfinished thing is still being written.
        shared: several snapshots have this one's directory in common; removing one frees nothing.
        mutable: its content changes.
        parent: the snapshot below, "" for none.
        description: what it is, for people.
        directory: the number of a snapshot's directory, which several may have in common; 0 for none.
    """

    id: str
    kind: RecordKind
    size: int
    created: float
    last_used: float
    usage_count: int = 1
    in_use: bool = False
    shared: bool = False
    mutable: bool = False
    parent: str = ""
    description: str = ""
    directory: int = 0

    @property
    def type(self) -> str:
        """BuildKit's word for what it is: the `type` of `docker buildx du`."""
        if self.kind == "cache-mount":
            return "exec.cachemount"
        if self.kind == "git-mirror" or (self.kind == "snapshot" and self.id.startswith("git-")):
            return "source.git.checkout"
        if self.kind == "snapshot" and self.id.startswith("local-"):
            return "source.local"
        return "internal" if self.kind == "record" else "regular"


_SNAPSHOTS = """
SELECT s.key, s.parent, s.kind, s.owner, s.created, s.labels,
    coalesce(max(r.last_used), s.created), coalesce(sum(r.usage_count), 0), coalesce(max(r.description), ''),
    s.directory > 0 AND EXISTS (SELECT 1 FROM snapshots t WHERE t.directory = s.directory AND t.key <> s.key),
    s.directory
FROM snapshots s LEFT JOIN results r ON r.snapshot = s.key GROUP BY s.key
"""


class Owners:
    """Remembers, for one collection, which leases and owners are alive."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alive: dict[str, bool] = {}

    def alive(self, owner: str) -> bool:
        """Whether the process behind an owner id lives."""
        if owner not in self._alive:
            self._alive[owner] = self._store.leases.is_alive(owner)
        return self._alive[owner]

    def elsewhere(self, owner: str) -> bool:
        """Whether it is another, living process."""
        return owner != self._store.leases.current_owner and self.alive(owner)


def usage(store: Store) -> list[UsageRecord]:
    """Everything in the store, unused things and leftovers included, least recently used first.

    Args:
        store: an open store.
    """
    owners = Owners(store)
    held = _held(store, owners)
    snapshots = list(_snapshots(store, held, owners))
    held["content"] |= store.images.blobs()
    held["content"] |= _labels_of(store, {record.id for record in snapshots if record.in_use})
    records = [
        *snapshots,
        *_content(store, held),
        *_cache_mounts(store),
        *_git_mirrors(store),
        *_ingests(store, owners),
        *_records(store),
    ]
    return sorted(records, key=lambda record: (record.last_used, record.kind, record.id))


def _held(store: Store, owners: Owners) -> dict[str, set[str]]:
    """What living leases refer to, by kind."""
    held: dict[str, set[str]] = {"snapshot": set(), "content": set(), "result": set()}
    for lease, kind, key in store.database.connection.execute("SELECT lease, kind, key FROM lease_refs"):
        if owners.alive(str(lease)):
            held.setdefault(str(kind), set()).add(str(key))
    return held


def _snapshots(store: Store, held: Mapping[str, set[str]], owners: Owners) -> Iterator[UsageRecord]:
    connection = store.database.connection
    rows = connection.execute(_SNAPSHOTS).fetchall()
    parents = {str(row[0]): str(row[1]) for row in rows}
    used = set(held["snapshot"])
    for key in held["result"]:
        row = connection.execute("SELECT snapshot FROM results WHERE result_key = ?", (key,)).fetchone()
        used |= {str(row[0])} if row is not None else set()
    # What another process made may be on its way into a result; what is unfinished is its owner's while that lives.
    for key, _, kind, owner, *_ in rows:
        if owners.elsewhere(str(owner)) or (kind != "committed" and owners.alive(str(owner))):
            used.add(str(key))
    used = _with_parents(used, parents)
    for key, parent, kind, _, created, labels, last_used, count, description, shared, number in rows:
        try:
            size = store.snapshots.usage(str(key)).size + log_size(store, number)
        except NotFound:
            continue  # removed meanwhile
        yield UsageRecord(
            id=str(key),
            kind="snapshot",
            size=size,
            created=float(created),
            last_used=float(last_used),
            usage_count=int(count),
            in_use=str(key) in used,
            shared=bool(shared),
            mutable=kind == "active",
            parent=str(parent),
            description=str(description) or _described(str(labels)),
            directory=int(number),
        )


def _described(labels: str) -> str:
    """What a snapshot that is no step's result says of itself."""
    if labels == "{}":
        return ""
    import json

    return str(json.loads(labels).get("description", ""))


def _with_parents(keys: Iterable[str], parents: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    for key in keys:
        while key in parents and key not in found:
            found.add(key)
            key = parents[key]  # noqa: PLW2901  # walks up the chain
    return found


def _content(store: Store, held: Mapping[str, set[str]]) -> Iterator[UsageRecord]:
    labelled = labelled_content(store)
    for blob in store.content.walk():
        yield UsageRecord(
            id=blob.digest,
            kind="content",
            size=blob.size,
            created=blob.created,
            last_used=blob.created,
            in_use=blob.digest in held["content"],
            shared=blob.digest in labelled,
            description="blob of a snapshot" if blob.digest in labelled else "blob",
        )


def labelled_content(store: Store) -> Counter[str]:
    """The values of all labels of snapshots: a digest among them is a blob that belongs to so many snapshots."""
    return Counter(value for _, value in _labels(store))


def blobs_of_snapshots(store: Store) -> dict[str, set[str]]:
    """The blobs that belong to each snapshot."""
    found: dict[str, set[str]] = {}
    for key, value in _labels(store):
        if value.startswith("sha256:"):
            found.setdefault(key, set()).add(value)
    return found


def _labels(store: Store) -> Iterator[tuple[str, str]]:
    query = "SELECT s.key, l.value FROM snapshots s, json_each(s.labels) l WHERE s.labels <> '{}'"
    for key, value in store.database.connection.execute(query):
        yield str(key), str(value)


def _labels_of(store: Store, keys: set[str]) -> set[str]:
    return {value for key, value in _labels(store) if key in keys}


def _cache_mounts(store: Store) -> Iterator[UsageRecord]:
    from pybuild.store.treecopy import disk_usage

    for info in store.cache_mounts.walk():
        handle = store.locks.try_exclusive(f"cache-mount:{info.path.parent.name}:{info.instance}")
        if handle is not None:
            handle.release()
        try:
            size = disk_usage(info.path)[0]
        except FileNotFoundError:
            continue  # removed meanwhile
        yield UsageRecord(
            id=cache_mount_id(info.path.parent.name, info.instance),
            kind="cache-mount",
            size=size,
            created=info.created,
            last_used=info.last_used,
            in_use=handle is None,
            mutable=True,
            description=f"cache mount {info.cache_id}",
        )


def cache_mount_id(name: str, instance: int) -> str:
    """The id under which a cache mount's instance is listed."""
    return f"{name}:{instance}"


def _git_mirrors(store: Store) -> Iterator[UsageRecord]:
    from pybuild.store.treecopy import disk_usage

    for info in store.git_mirrors.walk():
        try:
            size = disk_usage(info.path)[0]
        except FileNotFoundError:
            continue  # removed meanwhile
        yield UsageRecord(
            id=info.name,
            kind="git-mirror",
            size=size,
            created=info.created,
            last_used=info.last_used,
            in_use=store.git_mirrors.in_use(info),
            mutable=True,
            description=f"shared git repo for {info.remote}",
        )


def _ingests(store: Store, owners: Owners) -> Iterator[UsageRecord]:
    for path in (store.root / "ingest").iterdir():
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # committed meanwhile
        yield UsageRecord(
            id=path.name,
            kind="ingest",
            size=status.st_blocks * 512,
            created=status.st_ctime,
            last_used=status.st_mtime,
            in_use=owners.alive(path.name.partition("-")[0]),
            mutable=True,
            description="unfinished blob",
        )


def _records(store: Store) -> Iterator[UsageRecord]:
    for folder, description in (("builds", "the last builds of a target"), ("contexts", "hashes of a local directory")):
        for path in (store.root / folder).iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # replaced meanwhile
            yield UsageRecord(
                id=f"{folder}/{path.name}",
                kind="record",
                size=status.st_blocks * 512,
                created=status.st_mtime,
                last_used=status.st_mtime,
                description=description,
            )


def digest_of_record(record: UsageRecord) -> Digest:
    """The digest of a content record."""
    return Digest(record.id)
