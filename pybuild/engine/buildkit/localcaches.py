"""Caches in directories of the client, which an engine reads and writes blob by blob: `type=local`.

Mirrors `parseCacheOptions` of client/solve.go: the engine knows a directory as the content store `local:PATH`, is told
the digest of the cache's manifest, and says the digest of the one that it wrote; the index is the client's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from pybuild.engine.buildkit.build import CacheEntry
from pybuild.engine.buildkit.services.content import BlobDirectory
from pybuild.errors import DefinitionError, ExportError, NotFound
from pybuild.oci.layout import REF_NAME, Layout
from pybuild.oci.layoutwriter import LayoutWriter

_MANIFEST: Final = "cache.manifest"
"""What the engine answers with: the descriptor of the cache that it wrote, as JSON."""


def directory_of(entry: CacheEntry) -> str:
    """The directory of a local cache, "" for other caches.

    Example:
        >>> directory_of(CacheEntry(type="local", attrs={"src": "/cache"}))
        '/cache'
    """
    return entry.attrs.get("src") or entry.attrs.get("dest") or "" if entry.type == "local" else ""


def stores(imports: Sequence[CacheEntry], exports: Sequence[CacheEntry]) -> dict[str, BlobDirectory]:
    """The directories of local caches, by the names that the engine uses."""
    found = {f"local:{path}": BlobDirectory(path=Path(path)) for entry in imports if (path := directory_of(entry))}
    written = {
        f"local:{path}": BlobDirectory(path=Path(path), writable=True)
        for entry in exports
        if (path := directory_of(entry))
    }
    return {**found, **written}


def resolved(imports: Sequence[CacheEntry], warn: Callable[[str], object]) -> list[CacheEntry]:
    """The caches with the digests of local ones looked up; those that are not there are left out.

    Args:
        imports: as the user gave them.
        warn: is told what is left out, and why.
    """
    found: list[CacheEntry] = []
    for entry in imports:
        path = directory_of(entry)
        if not path or entry.attrs.get("digest"):
            found.append(entry)
            continue
        try:
            digest = _digest(Path(path), entry.attrs.get("tag") or "latest")
        except (NotFound, DefinitionError, OSError) as error:
            warn(f"cache import: type=local,src={path}: {getattr(error, 'message', '') or error}")
            continue
        found.append(attrs.evolve(entry, attrs={**entry.attrs, "digest": digest}))
    return found


def _digest(path: Path, tag: str) -> str:
    for entry in Layout(path).index().manifests:
        if dict(entry.annotations).get(REF_NAME) == tag:
            return entry.digest
    raise NotFound(f'there is no cache "{tag}"')


def name_written(exports: Sequence[CacheEntry], answer: Mapping[str, str]) -> None:
    """Put what the engine wrote into the indexes of the directories.

    Args:
        exports: where to.
        answer: what the engine said at the end of the build.

    Raises:
        ExportError: an index cannot be written.
    """
    text = answer.get(_MANIFEST)
    if not text:
        return
    descriptor: dict[str, object] = json.loads(text)
    for entry in exports:
        path = directory_of(entry)
        if not path:
            continue
        try:
            tag = entry.attrs.get("tag") or "latest"
            LayoutWriter(Path(path)).name({**descriptor, "annotations": {REF_NAME: tag}})
        except (OSError, ValueError) as error:
            raise ExportError(f'cannot write the cache "{path}": {error}') from error
