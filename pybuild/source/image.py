"""Images as sources: identified by their manifest, unpacked only when a step needs their files.

Where images come from is behind `Images` (a layout, a registry); what is the same for all is here: choosing the
platform, config, cache key, and the tree as snapshots. Mirrors BuildKit's source/containerimage.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from pybuild.digest import Digest
from pybuild.errors import DefinitionError, SourceFetchError, StoreError, StoreFull
from pybuild.llb.vertex import Vertex
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.imageconfig import ImageConfig, parse_image_config
from pybuild.oci.manifest import Index, Manifest, parse_manifest
from pybuild.platform import Platform, best_match
from pybuild.protocols import Ref, SourceMetadata
from pybuild.source.unpack import unpack, unpacked
from pybuild.store.contenthash import Selection
from pybuild.store.hashmemo import ContentHasher
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree
from pybuild.values import Value

_ATTESTATION = "vnd.docker.reference.type"

Hold = Callable[[str], None]


@attrs.frozen(kw_only=True)
class Named(Value):
    """What a reference leads to: one descriptor, or several to choose from; and its text with the digest in it."""

    identifier: str
    candidates: tuple[Descriptor, ...]


@attrs.frozen(kw_only=True)
class Image(Value):
    """A chosen image, read as far as it takes to identify it."""

    identifier: str
    root: Digest
    digest: Digest
    manifest: Manifest
    config: ImageConfig
    document: bytes


class Images(Protocol):
    """A place that images come from."""

    def find(self, vertex: Vertex) -> Named:
        """What the vertex's reference leads to. Raises SourceFetchError, StoreError."""
        ...

    def read(self, vertex: Vertex, descriptor: Descriptor) -> bytes:
        """A manifest or config, verified. Raises SourceFetchError, StoreError."""
        ...

    def bring(self, vertex: Vertex, descriptors: Sequence[Descriptor]) -> Sequence[Callable[[], None]]:
        """Bring layers into the content store: each of the returned calls waits for one of them.

        Raises:
            SourceFetchError: now, or from one of the calls.
        """
        ...


class ImageSource:
    """See solver.sources.Source.

    Args:
        store: where images are unpacked.
        images: where they come from.
    """

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images
        self._known: dict[tuple[str, Platform], Image] = {}
        self._lock = threading.Lock()

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See solver.sources.Source."""
        image = self._image(vertex, platform)
        return SourceMetadata(
            identifier=image.identifier, digest=image.root, config=image.config, document=image.document
        )

    def key(self, vertex: Vertex, platform: Platform) -> str:
        """See solver.sources.Source: the digest of the manifest for the platform."""
        return self._image(vertex, platform).digest

    def tree(self, vertex: Vertex, platform: Platform) -> tuple[LayeredTree, Callable[[str, Selection], Digest]] | None:
        """See solver.sources.Source: its tree, when it is unpacked already."""
        snapshot = unpacked(self._store, self._image(vertex, platform).config.diff_ids)
        if snapshot is None:
            return None
        tree = LayeredTree(self._store.snapshots.lowers(snapshot) if snapshot else ())
        hasher = ContentHasher(self._store.database)
        return tree, lambda path, selection: hasher.digest(snapshot, tree, path, selection)

    def is_here(self, vertex: Vertex, platform: Platform) -> bool:
        """See solver.sources.Source."""
        return unpacked(self._store, self._image(vertex, platform).config.diff_ids) is not None

    def fetch(self, vertex: Vertex, platform: Platform, hold: Hold) -> Ref:
        """See solver.sources.Source: unpacks what is not there yet."""
        image = self._image(vertex, platform)
        layers, diff_ids = image.manifest.layers, image.config.diff_ids
        if len(layers) != len(diff_ids):
            raise SourceFetchError(f"{vertex.name}: {len(layers)} layers, but the config lists {len(diff_ids)}")
        try:
            return unpack(self._store, layers, diff_ids, lambda wanted: self._images.bring(vertex, wanted), hold)
        except StoreFull:
            raise
        except StoreError as error:
            raise _failed(vertex, error) from error

    def _image(self, vertex: Vertex, platform: Platform) -> Image:
        key = (vertex.digest, platform)
        with self._lock:
            if key not in self._known:
                self._known[key] = self._look_up(vertex, platform)
            return self._known[key]

    def _look_up(self, vertex: Vertex, platform: Platform) -> Image:
        try:
            named = self._images.find(vertex)
            chosen, manifest = self._choose(vertex, named.candidates, platform)
            document = self._images.read(vertex, manifest.config)
            config = parse_image_config(document)
        except (DefinitionError, StoreError) as error:
            raise _failed(vertex, error) from error
        root = named.candidates[0].digest if len(named.candidates) == 1 else chosen.digest
        return Image(
            identifier=named.identifier,
            root=root,
            digest=chosen.digest,
            manifest=manifest,
            config=config,
            document=document,
        )

    def _choose(
        self, vertex: Vertex, candidates: Sequence[Descriptor], platform: Platform
    ) -> tuple[Descriptor, Manifest]:
        """Follow indexes down to the manifest for `platform`; a lone manifest is taken as it is."""
        for _ in range(4):
            descriptor = candidates[0] if len(candidates) == 1 else _best(vertex, candidates, platform)
            found = parse_manifest(self._images.read(vertex, descriptor), descriptor.media_type)
            if isinstance(found, Manifest):
                if found.config.media_type not in mediatypes.CONFIGS:
                    raise SourceFetchError(f"{vertex.name} is not an image: its config is {found.config.media_type}")
                return descriptor, found
            candidates = _images_of(found)
            if len(candidates) == 1 and candidates[0].platform is not None:
                candidates = (_best(vertex, candidates, platform),)
            if not candidates:
                raise SourceFetchError(f"{vertex.name}: its index is empty")
        raise SourceFetchError(f"{vertex.name}: its indexes are nested too deeply")


def _images_of(index: Index) -> tuple[Descriptor, ...]:
    """The images of an index: attestations lie beside them."""
    return tuple(
        entry
        for entry in index.manifests
        if _ATTESTATION not in dict(entry.annotations)
        and (not entry.media_type or entry.media_type in mediatypes.MANIFESTS | mediatypes.INDEXES)
    )


def _best(vertex: Vertex, candidates: Sequence[Descriptor], platform: Platform) -> Descriptor:
    offered = [entry.platform or platform for entry in candidates]
    number = best_match(platform, offered)
    if number is None:
        there = ", ".join(sorted({str(entry) for entry in offered}))
        raise SourceFetchError(f"{vertex.name}: no image for {platform}", hint=f"there are images for {there}")
    return candidates[number]


def _failed(vertex: Vertex, error: DefinitionError | StoreError) -> SourceFetchError:
    message = error.message
    return SourceFetchError(message if vertex.name in message else f"{vertex.name}: {message}", hint=error.hint)
