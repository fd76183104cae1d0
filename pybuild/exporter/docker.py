"""The exporter `docker`: an archive that `docker load` takes, or, without a destination, the image in the local daemon.

As buildx's `--output type=docker`, and `--load`, which is short for it. `into=docker` or `into=podman` says which.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs

from pybuild.digest import Digest
from pybuild.exporter.archive import write_archive
from pybuild.exporter.artifact import Artifact, artifact_metadata, make_artifact, root_entry
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.daemons import Loadable, find_daemon
from pybuild.exporter.imageoptions import image_options
from pybuild.exporter.oci import OciExporter
from pybuild.exporter.several import check_docker
from pybuild.oci.reference import parse_reference
from pybuild.protocols import ExportInput, ExportResult
from pybuild.store.loaded import LoadedImages

if TYPE_CHECKING:
    from pybuild.exporter.imageoptions import ImageOptions
    from pybuild.store.store import Store


class DockerExporter:
    """See protocols.Exporter.

    Args:
        store: where results are.
    """

    type = "docker"

    def __init__(self, store: Store) -> None:
        self._store = store

    def export(self, source: ExportInput, report: Callable[[str], None]) -> ExportResult:
        """See protocols.Exporter."""
        if source.output.dest or "tar" in dict(source.output.attrs):
            return OciExporter(self._store, "docker").export(source, report)
        check_docker(source)
        daemon = find_daemon(Attributes(source.output, ()).text("into"))
        options = image_options(source.output, ("into",), source.source_date_epoch, oci=daemon.reads_oci)
        # Daemons take names as they come, and look them up in full.
        options = attrs.evolve(options, names=tuple(str(parse_reference(name)) for name in options.names))
        with self._store.leases.lease() as lease:
            report("exporting layers")
            artifact = make_artifact(self._store, source, options, partial(lease.add, "content"))
            loaded = LoadedImages(self._store.database)
            daemon.load(self._loadable(artifact, options, loaded), report)
            loaded.note(artifact.root.descriptor.digest, [layer.digest for layer in artifact.layers])
        return ExportResult(type=self.type, metadata=artifact_metadata(artifact, options))

    def _loadable(self, artifact: Artifact, options: ImageOptions, loaded: LoadedImages) -> Loadable:
        [image] = artifact.images
        entry = root_entry(artifact, options)
        names = list(options.names)
        diff_ids = [Digest(digest) for digest in json.loads(image.config)["rootfs"]["diff_ids"]]
        return Loadable(
            names=names,
            layers=[layer.digest for layer in image.layers],
            diff_ids=diff_ids,
            documents=[(document.descriptor.digest, document.data) for document in artifact.documents],
            entry=entry,
            write=lambda file, without: write_archive(
                self._store, file, artifact, entry, docker_names=names, without=without
            ),
            blob=self._store.content.path,
            layers_of=loaded.layers_of,
        )
