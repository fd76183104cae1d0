"""Caches that were read, and looking keys up in them.

A record is found from those of its inputs, as a stored result is over links (docs/cache-keys.md). Nothing here opens a
blob: what is known comes from the cache config alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs

from pybuild.digest import Digest
from pybuild.oci.descriptor import Descriptor
from pybuild.protocols import CacheSpec
from pybuild.remotecache.config import CacheConfig, StoredResult

RecordId: TypeAlias = tuple[int, int]
"""A record: the number of its cache, and its position in it."""
Records: TypeAlias = frozenset[RecordId]


@attrs.frozen(kw_only=True)
class RemoteLayer:
    """A layer that is elsewhere: its blob, and the digest of the plain archive."""

    descriptor: Descriptor
    diff_id: Digest


@attrs.frozen(kw_only=True)
class RemoteResult:
    """A result that is elsewhere: in which cache, its layers, bottom first, and when it was made, as `StoredResult`."""

    spec: CacheSpec
    layers: tuple[RemoteLayer, ...]
    created: float


@attrs.frozen(kw_only=True)
class ImportedCache:
    """A cache as far as it has to be read to look things up: its config, and the layers that it really has."""

    spec: CacheSpec
    config: CacheConfig
    layers: Mapping[Digest, RemoteLayer]


class Imports:
    """All caches that a build may look into.

    Args:
        caches: in the order in which the user gave them.
    """

    def __init__(self, caches: Sequence[ImportedCache]) -> None:
        self._caches = caches
        self._roots: dict[str, set[RecordId]] = {}
        self._children: dict[tuple[RecordId, int, str, str], set[RecordId]] = {}
        for number, cache in enumerate(caches):
            self._index(number, cache.config)

    def _index(self, number: int, config: CacheConfig) -> None:
        for position, record in enumerate(config.records):
            if not record.inputs:
                self._roots.setdefault(record.digest, set()).add((number, position))
            for index, links in enumerate(record.inputs):
                for link in links:
                    key = ((number, link.record), index, record.digest, link.selector)
                    self._children.setdefault(key, set()).add((number, position))

    def roots(self, digest: str) -> Records:
        """The records without inputs of that digest."""
        return frozenset(self._roots.get(digest, ()))

    def children(self, records: Iterable[RecordId], index: int, digest: str, selector: str) -> Records:
        """The records of that digest of which one of `records` is the input `index`, selected so."""
        found: set[RecordId] = set()
        for record in records:
            found |= self._children.get((record, index, digest, selector), set())
        return frozenset(found)

    def result(self, records: Iterable[RecordId]) -> RemoteResult | None:
        """The newest result of any of these records of which every layer is there."""
        found = [
            made
            for number, position in sorted(records)
            for stored in self._caches[number].config.records[position].results
            if (made := _result(self._caches[number], stored)) is not None
        ]
        return max(found, key=lambda result: result.created) if found else None

    def contents(self, records: Iterable[RecordId], selector: str) -> set[tuple[int, str]]:
        """The content keys by which these records are found: (input, key).

        Args:
            records: of one output of a step.
            selector: what links from content keys have as theirs.
        """
        found: set[tuple[int, str]] = set()
        for number, position in records:
            all_records = self._caches[number].config.records
            for index, links in enumerate(all_records[position].inputs):
                below = [all_records[link.record] for link in links if link.selector == selector]
                found |= {(index, record.digest) for record in below if not record.inputs}
        return found


def _result(cache: ImportedCache, stored: StoredResult) -> RemoteResult | None:
    layers = [cache.layers.get(blob) for blob in stored.blobs]
    there = tuple(layer for layer in layers if layer is not None)
    if not there or len(there) < len(layers):
        return None
    return RemoteResult(spec=cache.spec, layers=there, created=stored.created)
