"""Unpacks the layers of an image into snapshots that are named by their chain id, so that images share what is equal.

Any number of processes may unpack the same image at once: each layer is unpacked by one of them. OCI image
specification, config.md#layer-chainid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pybuild.digest import Digest, sha256
from pybuild.errors import AlreadyExists, DigestMismatch, NotFound, UnsafeArchive
from pybuild.oci.descriptor import Descriptor
from pybuild.protocols import Ref
from pybuild.store.store import Store

Bring = Callable[[Sequence[Descriptor]], Sequence[Callable[[], None]]]
"""Starts to bring blobs into the content store; each returned call waits for one."""


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """The identity of each layer on top of those below it.

    Example:
        >>> chain_ids([Digest("sha256:" + "0" * 64)]) == [Digest("sha256:" + "0" * 64)]
        True
    """
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(sha256(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain


def snapshot_name(chain_id: Digest) -> str:
    """The snapshot that holds the layers of a chain."""
    return f"chain-{chain_id.partition(':')[2]}"


def unpacked(store: Store, diff_ids: Sequence[Digest]) -> str | None:
    """The snapshot of an image that was unpacked before, "" for one without layers; None when it was not."""
    if not diff_ids:
        return ""
    name = snapshot_name(chain_ids(diff_ids)[-1])
    return name if _exists(store, name) else None


def unpack(
    store: Store,
    layers: Sequence[Descriptor],
    diff_ids: Sequence[Digest],
    bring: Bring,
    hold: Callable[[str], None],
) -> Ref:
    """Unpack an image.

    Args:
        store: the store.
        layers: blobs of its layers, bottom first.
        diff_ids: the digests of their plain archives.
        bring: brings blobs into the content store.
        hold: takes snapshots under the build's lease, before they are looked for.

    Raises:
        UnsafeArchive: a layer is damaged or malicious.
        DigestMismatch: a layer is not what the config says.
        StoreFull: no room.
    """
    names = [snapshot_name(chain_id) for chain_id in chain_ids(diff_ids)]
    if not names:
        return Ref(snapshot="")
    hold(names[-1])  # what has children is never collected
    if _exists(store, names[-1]):
        return Ref(snapshot=names[-1])
    there = [_exists(store, name) for name in names]
    start = there.index(False)
    with store.leases.lease() as lease:
        for descriptor in layers[start:]:
            lease.add("content", descriptor.digest)
        ready = bring(layers[start:])
        for number in range(start, len(names)):
            lease.add("snapshot", names[number])
            ready[number - start]()
            parent = names[number - 1] if number else ""
            try:
                _unpack_one(store, layers[number], diff_ids[number], parent, names[number])
            except (UnsafeArchive, DigestMismatch):
                if not store.content.drop_damaged(layers[number].digest):
                    raise
                bring(layers[number : number + 1])[0]()  # the disk, not the image, was to blame
                _unpack_one(store, layers[number], diff_ids[number], parent, names[number])
    return Ref(snapshot=names[-1])


def _unpack_one(store: Store, blob: Descriptor, diff_id: Digest, parent: str, name: str) -> None:
    with store.locks.exclusive(f"unpack:{name}"):
        if _exists(store, name):
            return
        from pybuild.store.apply import apply_layer

        snapshots = store.snapshots
        key = f"unpack-{store.leases.owner()}-{name}"
        try:
            snapshots.prepare(key, parent)
        except AlreadyExists:  # a thread of this process failed half-way
            snapshots.remove(key)
            snapshots.prepare(key, parent)
        try:
            lowers = snapshots.lowers(parent) if parent and snapshots.name == "overlay" else ()
            with store.content.open(blob.digest) as stream:
                applied = apply_layer(stream, snapshots.upper(key), lowers=lowers, whiteouts=store.whiteouts)
            if applied.diff_id != diff_id:
                raise DigestMismatch(diff_id, applied.diff_id)
            snapshots.commit(name, key)
        except BaseException:
            snapshots.abandon(key)
            raise
        from pybuild.store.layers import Layer, remember

        remember(store, name, Layer(descriptor=blob, diff_id=diff_id))


def _exists(store: Store, name: str) -> bool:
    try:
        store.snapshots.stat(name)
    except NotFound:
        return False
    return True
