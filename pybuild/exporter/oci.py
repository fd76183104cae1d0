"""Exporters for images as files: `oci` writes an OCI image layout, `docker` one that `docker load` takes as well.

Attributes, defaults and the metadata keys are those of buildx's `--output type=oci` and `type=docker`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pybuild.errors import ExportError
from pybuild.exporter.archive import write_archive
from pybuild.exporter.artifact import Artifact, artifact_metadata, make_artifact, root_entry
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.destination import open_destination
from pybuild.exporter.imageoptions import image_options
from pybuild.exporter.several import check_docker
from pybuild.oci.layoutwriter import LayoutWriter
from pybuild.protocols import ExportInput, ExportResult

if TYPE_CHECKING:
    from pybuild.store.store import Store


class OciExporter:
    """See protocols.Exporter.

    Args:
        store: where results are.
        type_: `oci` or `docker`.
    """

    def __init__(self, store: Store, type_: Literal["oci", "docker"]) -> None:
        self._store = store
        self.type: str = type_

    def export(self, source: ExportInput, report: Callable[[str], None]) -> ExportResult:
        """See protocols.Exporter."""
        if self.type == "docker":
            check_docker(source)
        options = image_options(source.output, ("tar",), source.source_date_epoch, oci=self.type == "oci")
        archive = Attributes(source.output, ()).flag("tar", default=True)
        dest = source.output.dest
        if not archive and dest in ("", "-"):
            raise ExportError(f"type={self.type},tar=false needs a directory", hint="add dest=DIRECTORY")
        with self._store.leases.lease() as lease:
            report("exporting layers")
            artifact = make_artifact(self._store, source, options, partial(lease.add, "content"))
            entry = root_entry(artifact, options)
            if archive:
                with open_destination(dest, self.type) as file:
                    names = options.names if self.type == "docker" else None
                    write_archive(self._store, file, artifact, entry, docker_names=names)
            else:
                self._write_layout(dest, artifact, entry)
        return ExportResult(type=self.type, metadata=artifact_metadata(artifact, options), path=dest)

    def _write_layout(self, dest: str, artifact: Artifact, descriptor: dict[str, object]) -> None:
        """Add the artifact to a layout; blobs first, the index last."""
        try:
            layout = LayoutWriter(Path(dest))
            for layer in artifact.layers:
                if not layout.has(layer.digest):
                    with self._store.content.checked(layer.digest) as source:
                        layout.copy(layer.digest, source)
            for document in artifact.documents:
                layout.put(document.descriptor.digest, document.data)
            layout.name(descriptor)
        except OSError as error:
            raise ExportError(f'cannot write "{dest}": {error.strerror or error}') from error
        except ValueError as error:
            raise ExportError(str(error)) from error
