"""The exporters `image` and `registry`: keep the result as a named image in the store, and push it.

Attributes as in buildx's `--output type=image`: `push`, `push-by-digest`, `registry.insecure`, `store`, and those that
all images have. `registry` is `image` with `push=true`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from pybuild.errors import ExportError
from pybuild.exporter.artifact import Artifact, artifact_metadata, make_artifact
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.imageoptions import image_options
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
            artifact = make_artifact(self._store, source, options, hold)
            if given.flag("store", default=not by_digest):
                self._keep(artifact, references, hold)
            if push:
                insecure = given.flag("registry.insecure", default=False)
                for reference in references:
                    self._push(artifact, reference, source, report, insecure=insecure, by_digest=by_digest)
        return ExportResult(type=self.type, metadata=artifact_metadata(artifact, options))

    def _keep(self, artifact: Artifact, references: list[Reference], hold: Callable[[str], None]) -> None:
        if not references:
            return
        for document in artifact.documents:
            hold(document.descriptor.digest)
            with self._store.content.writer(digest=document.descriptor.digest) as blob:
                blob.write(document.data)
                blob.commit()
        for reference in references:
            self._store.images.put(str(reference), artifact.root.descriptor, artifact.digests)

    def _push(
        self,
        artifact: Artifact,
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
            sent = [pool.submit(self._send_layer, writer, layer) for layer in artifact.layers]
            for future in sent:
                future.result()
        for document in artifact.blobs:
            writer.blob(document.descriptor, partial(io.BytesIO, document.data))
        *below, root = artifact.manifests  # the root last, so that the name never stands for what is not there
        for document in below:
            writer.manifest(document.descriptor, document.data)
        writer.manifest(root.descriptor, root.data, "" if by_digest else reference.tag)

    def _send_layer(self, writer: RegistryWriter, layer: Descriptor) -> None:
        writer.blob(layer, partial(self._store.content.checked, layer.digest))
