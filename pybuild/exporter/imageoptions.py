"""What all outputs that are images have in common: names, form of the layers, annotations.

Attributes and defaults are those of buildx's `--output type=image|oci|docker`.
"""

from __future__ import annotations

from typing import Final, cast

import attrs

from pybuild.exporter.annotations import ANNOTATION_ATTRIBUTES, Annotations, annotations_of
from pybuild.exporter.attributes import Attributes
from pybuild.protocols import OutputSpec
from pybuild.store.compression import COMPRESSIONS, Compression
from pybuild.store.layers import LayerForm

IMAGE_ATTRIBUTES: Final = (
    "name",
    "compression",
    "compression-level",
    "force-compression",
    "oci-artifact",
    "oci-mediatypes",
    "rewrite-timestamp",
    *ANNOTATION_ATTRIBUTES,
)


@attrs.frozen(kw_only=True)
class ImageOptions:
    """How an image shall be made: `oci` media types or Docker's; `artifact`: attestations as artifacts."""

    names: tuple[str, ...]
    form: LayerForm
    oci: bool
    annotations: Annotations
    artifact: bool = True


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
    annotations = annotations_of(output)
    # Docker's own documents know neither zstd nor annotations.
    oci = given.flag("oci-mediatypes", default=oci) or form.compression == "zstd"
    return ImageOptions(
        names=tuple(name for name in given.text("name").split(",") if name),
        form=form,
        oci=oci or bool(annotations),
        annotations=annotations,
        artifact=given.flag("oci-artifact", default=True),
    )
