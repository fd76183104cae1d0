"""The cache config: which steps a cache knows, and of which layers their results consist.

Media type `application/vnd.buildkit.cacheconfig.v0`, as in BuildKit's cache/remotecache/v1 (types/doc.go): `layers` is
a table of blobs, each on top of another one; `records` are keys, each reached from the records of its inputs. In memory
a result is its chain of blobs; the table exists in the document only.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import attrs

from pybuild.digest import Digest, parse_digest, sha256
from pybuild.errors import CacheImportError, PybuildError
from pybuild.oci.document import as_list, as_object, load_object

MEDIA_TYPE: Final = "application/vnd.buildkit.cacheconfig.v0"


@attrs.frozen(kw_only=True)
class Link:
    """From a record to one that an input of it may be: its position in the config, and the selector."""

    record: int
    selector: str = ""


@attrs.frozen(kw_only=True)
class StoredResult:
    """A result: its layers' blobs, bottom first, and when it was made, in seconds since the epoch."""

    blobs: tuple[Digest, ...]
    created: float


@attrs.frozen(kw_only=True)
class Record:
    """A key. Without inputs it is known by its digest alone; with some, by any link of each of them."""

    digest: str
    inputs: tuple[tuple[Link, ...], ...] = ()
    results: tuple[StoredResult, ...] = ()


@attrs.frozen(kw_only=True)
class CacheConfig:
    """All records of a cache."""

    records: tuple[Record, ...]


def output_digest(digest: str, output: int) -> str:
    """The digest of the record of one output of a step, or of a source (output 0).

    BuildKit's `rootKey` and `outputKey` (solver/cachemanager.go).

    Example:
        >>> output_digest("sha256:" + "0" * 64, 0)[:14]
        'sha256:4268306'
    """
    return sha256(f"{digest}@{output}".encode())


# ----------------------------------------------------------------------------------------------------------- reading


def parse_config(data: bytes) -> CacheConfig:
    """Read a cache config.

    Raises:
        CacheImportError: it is not JSON, or not such a document; a record or layer refers to none, or to itself.

    Example:
        >>> parse_config(b'{"records": [{"digest": "sha256:0"}]}').records[0].digest
        'sha256:0'
    """
    with _checked():
        document = load_object(data)
        layers = [_layer(as_object(item)) for item in as_list(document.get("layers"))]
        return _config(as_list(document.get("records")), [blob for blob, _ in layers], [below for _, below in layers])


def parse_records(data: bytes, blobs: Sequence[Digest]) -> CacheConfig:
    """Read the records of an inline cache.

    Args:
        data: JSON.
        blobs: the layers of the image that has them, bottom first.

    Raises:
        CacheImportError: see `parse_config`.
    """
    with _checked():
        return _config(as_list(json.loads(data)), blobs, range(-1, len(blobs) - 1))


@contextmanager
def _checked() -> Generator[None]:
    """Whatever is wrong with a document is said in one way."""
    try:
        yield
    except CacheImportError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, PybuildError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise CacheImportError(f"invalid cache config: {what}") from None


def _layer(document: Mapping[str, object]) -> tuple[Digest, int]:
    return parse_digest(str(document["blob"])), _number(document, "parent")


def _config(records: Sequence[object], blobs: Sequence[Digest], parents: Sequence[int]) -> CacheConfig:
    chains = _Chains(blobs, parents)
    found = tuple(_record(as_object(item), len(records), chains) for item in records)
    _check_acyclic(found)
    return CacheConfig(records=found)


class _Chains:
    """The table of layers."""

    def __init__(self, blobs: Sequence[Digest], parents: Sequence[int]) -> None:
        self._blobs = blobs
        self._parents = parents

    def chain(self, layer: int) -> tuple[Digest, ...]:
        """The blobs of a layer and those below it, bottom first."""
        found: list[Digest] = []
        while layer != -1:
            if len(found) >= len(self._blobs):
                raise CacheImportError("invalid cache config: a layer is below itself")
            found.append(self.blob(layer))
            layer = self._parents[layer]
        return tuple(reversed(found))

    def blob(self, layer: int) -> Digest:
        """The blob of one layer."""
        if not 0 <= layer < len(self._blobs):
            raise CacheImportError(f"invalid cache config: there is no layer {layer}")
        return self._blobs[layer]


def _record(document: Mapping[str, object], count: int, chains: _Chains) -> Record:
    results = [
        StoredResult(blobs=chains.chain(_number(item, "layer")), created=_seconds(item))
        for item in map(as_object, as_list(document.get("layers")))
    ]
    results += [
        StoredResult(
            blobs=tuple(chains.blob(_whole(number)) for number in as_list(item["layers"])), created=_seconds(item)
        )
        for item in map(as_object, as_list(document.get("chains")))
    ]
    inputs: list[tuple[Link, ...]] = []
    for alternatives in as_list(document.get("inputs")):
        links = tuple(
            Link(record=_number(item, "link"), selector=str(item.get("selector") or ""))
            for item in map(as_object, as_list(alternatives))
        )
        if not links:
            raise CacheImportError("invalid cache config: a record has an input that nothing leads to")
        for link in links:
            if not 0 <= link.record < count:
                raise CacheImportError(f"invalid cache config: there is no record {link.record}")
        inputs.append(links)
    return Record(digest=str(document.get("digest") or ""), inputs=tuple(inputs), results=tuple(results))


def _number(document: Mapping[str, object], name: str) -> int:
    return _whole(document.get(name, 0))  # Go leaves zeros out


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _seconds(document: Mapping[str, object]) -> float:
    text = str(document.get("createdAt") or "")
    return max(datetime.fromisoformat(text).timestamp(), 0.0) if text else 0.0


def _check_acyclic(records: Sequence[Record]) -> None:
    """Take away records that stand on nothing, until none is left."""
    open_links = [sum(len(links) for links in record.inputs) for record in records]
    above: list[list[int]] = [[] for _ in records]
    for number, record in enumerate(records):
        for links in record.inputs:
            for link in links:
                above[link.record].append(number)
    ready = [number for number, count in enumerate(open_links) if not count]
    done = 0
    while ready:
        done += 1
        for number in above[ready.pop()]:
            open_links[number] -= 1
            if not open_links[number]:
                ready.append(number)
    if done < len(records):
        raise CacheImportError("invalid cache config: a record is an input of itself")


# ----------------------------------------------------------------------------------------------------------- writing


def dump_config(config: CacheConfig) -> bytes:
    """The document; the same value always gives the same bytes.

    Example:
        >>> dump_config(CacheConfig(records=(Record(digest="sha256:0"),)))
        b'{"records":[{"digest":"sha256:0"}]}'
    """
    table: dict[tuple[Digest, int], int] = {}

    def place(result: StoredResult) -> dict[str, object]:
        layer = -1
        for blob in result.blobs:
            layer = table.setdefault((blob, layer), len(table))
        return {"layer": layer, "createdAt": rfc3339(result.created)}

    records = [_record_document(record, [place(result) for result in record.results]) for record in config.records]
    document: dict[str, object] = {}
    if table:
        document["layers"] = [{"blob": blob, "parent": parent} for blob, parent in table]
    document["records"] = records
    return _compact(document)


def dump_records(config: CacheConfig, blobs: Sequence[Digest]) -> bytes:
    """The records of an inline cache: results of layers that the image lacks are left out.

    Args:
        config: the records; the blobs of their results count by name only.
        blobs: the layers of the image, bottom first.
    """
    positions: dict[Digest, int] = {}
    for number, blob in enumerate(blobs):
        positions.setdefault(blob, number)
    documents: list[dict[str, object]] = []
    for record in config.records:
        layers: list[dict[str, object]] = []
        chains: list[dict[str, object]] = []
        for result in record.results:
            created = rfc3339(result.created)
            if result.blobs == tuple(blobs[: len(result.blobs)]):
                layers.append({"layer": len(result.blobs) - 1, "createdAt": created})
            elif all(blob in positions for blob in result.blobs):
                chains.append({"layers": [positions[blob] for blob in result.blobs], "createdAt": created})
        documents.append(_record_document(record, layers, chains))
    return _compact(documents)


def _record_document(record: Record, layers: Sequence[object], chains: Sequence[object] = ()) -> dict[str, object]:
    document: dict[str, object] = {}
    if layers:
        document["layers"] = list(layers)
    if chains:
        document["chains"] = list(chains)
    document["digest"] = record.digest
    if record.inputs:
        document["inputs"] = [[_link_document(link) for link in links] for links in record.inputs]
    return document


def _link_document(link: Link) -> dict[str, object]:
    return {"selector": link.selector, "link": link.record} if link.selector else {"link": link.record}


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def rfc3339(seconds: float) -> str:
    """A moment as these documents write it.

    Example:
        >>> rfc3339(0)
        '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
