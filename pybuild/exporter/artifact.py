"""What an image output writes: one image, or an index of one image per platform, as documents and blobs.

OCI image specification, image index. An artifact is the same whether it becomes an archive, a layout, an image of the
store or a push: blobs first, then manifests, and the root last, which names everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.digest import Digest
from pybuild.errors import ExportError
from pybuild.exporter.attestations import Blob, attestation_manifest
from pybuild.exporter.image import Image, assemble
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor, as_json
from pybuild.oci.layout import IMAGE_NAME, REF_NAME

if TYPE_CHECKING:
    from pybuild.exporter.imageoptions import ImageOptions
    from pybuild.protocols import ExportInput
    from pybuild.store.layers import Hold
    from pybuild.store.store import Store

_CREATED: Final = "org.opencontainers.image.created"


@attrs.frozen(kw_only=True)
class Artifact:
    """What is written.

    Attributes:
        images: one per platform.
        blobs: documents that manifests refer to: configs, attestations.
        manifests: those of images, those of attestations, and behind them the index where there is one.
        created: the time of the newest image, as its config says it; "" when none does.
    """

    images: tuple[Image, ...]
    blobs: tuple[Blob, ...]
    manifests: tuple[Blob, ...]
    created: str

    @property
    def root(self) -> Blob:
        """The manifest or index that stands for all of it."""
        return self.manifests[-1]

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers of all images, each once; their blobs lie in the content store."""
        return tuple({layer.digest: layer for image in self.images for layer in image.layers}.values())

    @property
    def documents(self) -> tuple[Blob, ...]:
        """All documents, each behind those that it refers to."""
        return (*self.blobs, *self.manifests)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Everything that it consists of."""
        return (*(layer.digest for layer in self.layers), *(document.descriptor.digest for document in self.documents))


def make_artifact(store: Store, source: ExportInput, options: ImageOptions, hold: Hold) -> Artifact:
    """Put together what an image output writes.

    Args:
        store: where the snapshots are.
        source: what was built.
        options: of the output.
        hold: called with the digest of every layer's blob.

    Raises:
        ExportError: the output wants annotations of something that it does not have, or cannot hold attestations.
    """
    _check_annotations(source, options)
    if not options.oci and any(result.attestations for result in source.results):
        raise ExportError("Docker's media types have no attestations", hint="leave out oci-mediatypes=false")
    images = tuple(
        assemble(
            store,
            result,
            options.form,
            hold,
            oci=options.oci,
            epoch=source.source_date_epoch,
            annotations=options.annotations.of("manifest", result.platform),
            inline_cache=source.inline_cache,
        )
        for result in source.results
    )
    said = [
        attestation_manifest(result, image.descriptor, options.names, artifact=options.artifact)
        for image, result in zip(images, source.results, strict=True)
        if result.attestations
    ]
    manifests = [Blob(descriptor=image.descriptor, data=image.manifest) for image in images]
    manifests += [each.manifest for each in said]
    if len(manifests) > 1:
        manifests.append(_index(source, images, [each.manifest.descriptor for each in said], options))
    blobs = [_config(image, oci=options.oci) for image in images] + [blob for each in said for blob in each.blobs]
    return Artifact(
        images=images,
        blobs=tuple({blob.descriptor.digest: blob for blob in blobs}.values()),
        manifests=tuple(manifests),
        created=max(str(json.loads(image.config).get("created") or "") for image in images),
    )


def _check_annotations(source: ExportInput, options: ImageOptions) -> None:
    platforms = {result.platform for result in source.results}
    for annotation in options.annotations.given:
        attested = any(result.attestations for result in source.results)
        if annotation.place.startswith("index") and len(platforms) == 1 and not attested:
            raise ExportError(
                f'annotation "{annotation.key}" is for an index; one platform alone makes none',
                hint="use annotation-manifest, or build for several platforms",
            )
        if annotation.platform is not None and annotation.platform not in platforms:
            raise ExportError(
                f'annotation "{annotation.key}" is for {annotation.platform}, which is not built',
                hint=f"the build is for {', '.join(sorted(map(str, platforms)))}",
            )


def _config(image: Image, *, oci: bool) -> Blob:
    media_type = mediatypes.OCI_CONFIG if oci else mediatypes.DOCKER_CONFIG
    descriptor = Descriptor(media_type=media_type, digest=image.config_digest, size=len(image.config))
    return Blob(descriptor=descriptor, data=image.config)


def _index(source: ExportInput, images: Iterable[Image], said: Iterable[Descriptor], options: ImageOptions) -> Blob:
    """The index of all images, and behind them what is said of each."""
    media_type = mediatypes.OCI_INDEX if options.oci else mediatypes.DOCKER_INDEX
    entries = [
        as_json(
            attrs.evolve(
                image.descriptor,
                platform=result.platform,
                annotations=tuple(sorted(options.annotations.of("manifest-descriptor", result.platform).items())),
            )
        )
        for image, result in zip(images, source.results, strict=True)
    ]
    entries += [as_json(descriptor) for descriptor in said]
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    annotations = options.annotations.of("index")
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    data = json.dumps(document, indent=2, ensure_ascii=False).encode()
    return Blob.of(media_type, data)


# ------------------------------------------------------------------------------------------- what is said of it


def root_entry(artifact: Artifact, options: ImageOptions) -> dict[str, object]:
    """The root's descriptor as layouts list it, with the annotations by which tools find it."""
    root = artifact.root.descriptor
    single = len(artifact.manifests) == 1
    place = options.annotations
    known = place.of("manifest-descriptor", root.platform) if single else place.of("index-descriptor")
    if artifact.created:
        known[_CREATED] = artifact.created
    if options.names:
        known[IMAGE_NAME] = options.names[0]
        known[REF_NAME] = _tag(options.names[0])
    return as_json(attrs.evolve(root, annotations=tuple(sorted(known.items()))))


def _tag(name: str) -> str:
    """The tag in a name, `latest` when it has none."""
    last = name.partition("@")[0].rpartition("/")[2]
    return last.partition(":")[2] or "latest"


def artifact_metadata(artifact: Artifact, options: ImageOptions) -> tuple[tuple[str, object], ...]:
    """What `--metadata-file` tells of it; a config digest only where one image is all there is."""
    entries: dict[str, object] = {
        "containerimage.descriptor": root_entry(artifact, options),
        "containerimage.digest": artifact.root.descriptor.digest,
    }
    if len(artifact.manifests) == 1:
        entries["containerimage.config.digest"] = artifact.images[0].config_digest
    if options.names:
        entries["image.name"] = ",".join(options.names)
    return tuple(sorted(entries.items()))


__all__ = ["Artifact", "artifact_metadata", "make_artifact", "root_entry"]
