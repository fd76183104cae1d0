"""The exporters `image` and `registry`: keep the result as a named image in the store, and push it.

Attributes as in buildx's `--output type=image`: `push`, `push-by-digest`, `registry.insecure`, `store`, and those that
all images have. `registry` is `image` with `push=true`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from pybuild.errors import ExportError
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.image import Image, assemble
from pybuild.exporter.imageoptions import image_metadata, image_options, index_entry
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.reference import Reference, parse_reference
from pybuild.protocols import ExportInput, ExportResult

if TYPE_CHECKING:
    from pybuild.exporter import CredentialsFor
    from pybuild.registry.push import RegistryWriter
    from pybuild.store.store import Store

_OWN: Final = ("push", "push-by-digest", "registry.insecure", "store", "unpack", "name-canonical")
_PARALLEL: Final = 4

Report = Callable[[str], None]


class ImageExporter:
    """See protocols.Exporter.

    Args:
        store: where results are.
        type_: `image` or `registry`.
        credentials: gives user and password for a registry host.
    """

    def __init__(self, store: Store, type_: Literal["image", "registry"], credentials: CredentialsFor) -> None:
        self._store = store
        self._credentials = credentials
        self.type: str = type_

    def export(self, source: ExportInput, report: Report) -> ExportResult:
        """See protocols.Exporter."""
        options = image_options(source.output, _OWN, source.source_date_epoch, oci=True)
        given = Attributes(source.output, ())
        push = given.flag("push", default=self.type == "registry")
        by_digest = given.flag("push-by-digest", default=False)
        references = [parse_reference(name) for name in options.names]
        if push and not references:
            raise ExportError(f"type={self.type} is to be pushed, but has no name", hint="add -t NAME, or name=NAME")
        with self._store.leases.lease() as lease:
            hold = partial(lease.add, "content")
            report("exporting layers")
            image = assemble(self._store, source, options.form, hold, oci=options.oci, annotations=options.annotations)
            if given.flag("store", default=not by_digest):
                self._keep(image, references, hold)
            if push:
                insecure = given.flag("registry.insecure", default=False)
                for reference in references:
                    self._push(image, reference, source, report, insecure=insecure, by_digest=by_digest)
        return ExportResult(type=self.type, metadata=image_metadata(image, index_entry(image, options), options.names))

    def _keep(self, image: Image, references: list[Reference], hold: Callable[[str], None]) -> None:
        if not references:
            return
        for digest, data in ((image.config_digest, image.config), (image.descriptor.digest, image.manifest)):
            hold(digest)
            with self._store.content.writer(digest=digest) as blob:
                blob.write(data)
                blob.commit()
        blobs = [image.descriptor.digest, image.config_digest, *(layer.digest for layer in image.layers)]
        for reference in references:
            self._store.images.put(str(reference), image.descriptor, blobs)

    def _push(
        self,
        image: Image,
        reference: Reference,
        source: ExportInput,
        report: Report,
        *,
        insecure: bool,
        by_digest: bool,
    ) -> None:
        from concurrent.futures import ThreadPoolExecutor

        from pybuild.registry.push import RegistryWriter

        report(f"pushing {reference.familiar}")
        same = [parse_reference(name) for name in source.base_images]
        writer = RegistryWriter(
            reference,
            lambda: self._credentials(reference.domain),
            insecure=insecure,
            mount_from=list(dict.fromkeys(base.path for base in same if base.domain == reference.domain)),
        )
        with ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="push") as pool:
            sent = [pool.submit(self._send_layer, writer, layer) for layer in dict.fromkeys(image.layers)]
            for future in sent:
                future.result()
        config = Descriptor(
            media_type=mediatypes.OCI_CONFIG, digest=image.config_digest, size=len(image.config), platform=None
        )
        writer.blob(config, partial(_bytes_reader, image.config))
        writer.manifest(image.descriptor, image.manifest, "" if by_digest else reference.tag)

    def _send_layer(self, writer: RegistryWriter, layer: Descriptor) -> None:
        writer.blob(layer, partial(self._store.content.open, layer.digest))


def _bytes_reader(data: bytes) -> BinaryIO:
    import io

    return io.BytesIO(data)
