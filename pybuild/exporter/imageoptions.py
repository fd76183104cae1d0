"""What all outputs that are images have in common: names, form of the layers, annotations, facts for the metadata file.

Attributes, defaults and the metadata keys are those of buildx's `--output type=image|oci|docker`.
"""

from __future__ import annotations

import json
from typing import Final, cast

import attrs

from pybuild.exporter.attributes import Attributes
from pybuild.exporter.image import Image
from pybuild.protocols import OutputSpec
from pybuild.store.compression import COMPRESSIONS, Compression
from pybuild.store.layers import LayerForm

IMAGE_ATTRIBUTES: Final = (
    "name",
    "compression",
    "compression-level",
    "force-compression",
    "oci-mediatypes",
    "rewrite-timestamp",
    "annotation.*",
    "annotation-manifest.*",
    "annotation-manifest-descriptor.*",
)
IMAGE_NAME: Final = "io.containerd.image.name"
REF_NAME: Final = "org.opencontainers.image.ref.name"
_CREATED: Final = "org.opencontainers.image.created"


@attrs.frozen(kw_only=True)
class ImageOptions:
    """How an image shall be made: `oci` media types or Docker's, annotations of the manifest and of its descriptor."""

    names: tuple[str, ...]
    form: LayerForm
    oci: bool
    annotations: dict[str, str]
    descriptor_annotations: dict[str, str]


def image_options(output: OutputSpec, own: tuple[str, ...], epoch: int | None, *, oci: bool) -> ImageOptions:
    """Read the attributes of an output.

    Args:
        output: as the user gave it.
        own: attributes that the exporter reads itself.
        epoch: seconds that times are clamped to where that is asked for.
        oci: whether OCI media types are the default.

    Raises:
        ExportError: an attribute is not known, or its value is wrong.
    """
    given = Attributes(output, (*IMAGE_ATTRIBUTES, *own))
    given.done()
    form = LayerForm(
        compression=cast("Compression", given.choice("compression", COMPRESSIONS, "gzip")),
        level=given.number("compression-level"),
        force=given.flag("force-compression", default=False),
        epoch=epoch if given.flag("rewrite-timestamp", default=False) else None,
    )
    annotations = {**given.below("annotation."), **given.below("annotation-manifest.")}
    descriptor_annotations = given.below("annotation-manifest-descriptor.")
    # Docker's own documents know neither zstd nor annotations.
    oci = given.flag("oci-mediatypes", default=oci) or form.compression == "zstd"
    return ImageOptions(
        names=tuple(name for name in given.text("name").split(",") if name),
        form=form,
        oci=oci or bool(annotations or descriptor_annotations),
        annotations=annotations,
        descriptor_annotations=descriptor_annotations,
    )


def index_entry(image: Image, options: ImageOptions) -> dict[str, object]:
    """The manifest's descriptor in an index, with the annotations by which tools find it."""
    known = dict(options.descriptor_annotations)
    created = json.loads(image.config).get("created")
    if created:
        known[_CREATED] = created
    if options.names:
        known[IMAGE_NAME] = options.names[0]
        known[REF_NAME] = _tag(options.names[0])
    descriptor = image.descriptor
    entry: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if known:
        entry["annotations"] = dict(sorted(known.items()))
    if descriptor.platform is not None:
        platform = {"architecture": descriptor.platform.architecture, "os": descriptor.platform.os}
        if descriptor.platform.variant:
            platform["variant"] = descriptor.platform.variant
        entry["platform"] = platform
    return entry


def _tag(name: str) -> str:
    """The tag in a name, `latest` when it has none."""
    last = name.partition("@")[0].rpartition("/")[2]
    return last.partition(":")[2] or "latest"


def image_metadata(image: Image, entry: dict[str, object], names: tuple[str, ...]) -> tuple[tuple[str, object], ...]:
    """What `--metadata-file` tells of an image."""
    entries: dict[str, object] = {
        "containerimage.config.digest": image.config_digest,
        "containerimage.descriptor": entry,
        "containerimage.digest": image.descriptor.digest,
    }
    if names:
        entries["image.name"] = ",".join(names)
    return tuple(sorted(entries.items()))
