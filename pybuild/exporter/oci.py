"""Exporters for images as files: `oci` writes an OCI image layout, `docker` one that `docker load` takes as well.

Attributes, defaults and the metadata keys are those of buildx's `--output type=oci` and `type=docker`.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from pybuild.digest import Digest
from pybuild.errors import ExportError
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.destination import open_destination
from pybuild.exporter.image import Image, assemble
from pybuild.exporter.imageoptions import IMAGE_NAME, image_metadata, image_options, index_entry
from pybuild.oci.document import as_object
from pybuild.protocols import ExportInput, ExportResult
from pybuild.store.tarwrite import Header, TarWriter

if TYPE_CHECKING:
    from pybuild.store.store import Store

_LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'


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
        options = image_options(source.output, ("tar",), source.source_date_epoch, oci=self.type == "oci")
        archive = Attributes(source.output, ()).flag("tar", default=True)
        dest = source.output.dest
        if not archive and dest in ("", "-"):
            raise ExportError(f"type={self.type},tar=false needs a directory", hint="add dest=DIRECTORY")
        with self._store.leases.lease() as lease:
            report("exporting layers")
            image = assemble(
                self._store,
                source,
                options.form,
                lambda digest: lease.add("content", digest),
                oci=options.oci,
                annotations=options.annotations,
            )
            entry = index_entry(image, options)
            if archive:
                with open_destination(dest, self.type) as file:
                    self._write_archive(file, image, entry, list(options.names))
            else:
                self._write_layout(dest, image, entry)
        return ExportResult(type=self.type, metadata=image_metadata(image, entry, options.names), path=dest)

    # ------------------------------------------------------------------------------------------ archive

    def _write_archive(self, file: BinaryIO, image: Image, descriptor: dict[str, object], names: list[str]) -> None:
        writer = TarWriter(file)
        for directory in ("blobs/", "blobs/sha256/"):
            writer.add(Header(directory, stat.S_IFDIR, mode=0o755))
        small = {image.descriptor.digest: image.manifest, image.config_digest: image.config}
        for digest in sorted({*small, *(layer.digest for layer in image.layers)}):
            self._add_blob(writer, digest, small.get(digest))
        files = {"index.json": _index([descriptor]), "oci-layout": _LAYOUT}
        if self.type == "docker":
            files["manifest.json"] = _docker_manifest(image, names)
        for name, content in sorted(files.items()):
            writer.add_bytes(Header(name, stat.S_IFREG, mode=0o644, size=len(content)), content)
        writer.close()

    def _add_blob(self, writer: TarWriter, digest: Digest, content: bytes | None) -> None:
        name = f"blobs/{digest.replace(':', '/')}"
        if content is not None:
            writer.add_bytes(Header(name, stat.S_IFREG, mode=0o644, size=len(content)), content)
            return
        with self._store.content.open(digest) as file:
            size = os.fstat(file.fileno()).st_size
            writer.add_file(Header(name, stat.S_IFREG, mode=0o644, size=size), file)

    # ---------------------------------------------------------------------------------------- directory

    def _write_layout(self, dest: str, image: Image, descriptor: dict[str, object]) -> None:
        """Add the image to a layout; blobs first, the index last, so that it never names what is not there."""
        try:
            blobs = os.path.join(dest, "blobs", "sha256")
            os.makedirs(blobs, exist_ok=True)
            for layer in image.layers:
                self._place_blob(blobs, layer.digest)
            _place(os.path.join(blobs, image.config_digest.partition(":")[2]), image.config)
            _place(os.path.join(blobs, image.descriptor.digest.partition(":")[2]), image.manifest)
            _place(os.path.join(dest, "oci-layout"), _LAYOUT)
            index = os.path.join(dest, "index.json")
            _place(index, _index([*_others(index, descriptor), descriptor]))
        except OSError as error:
            raise ExportError(f'cannot write "{dest}": {error.strerror or error}') from error

    def _place_blob(self, blobs: str, digest: Digest) -> None:
        target = os.path.join(blobs, digest.partition(":")[2])
        if os.path.exists(target):
            return
        staging = f"{target}.{os.urandom(4).hex()}.tmp"
        with self._store.content.open(digest) as source, open(staging, "xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        os.replace(staging, target)


def _index(manifests: list[dict[str, object]]) -> bytes:
    document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def _others(index: str, descriptor: dict[str, object]) -> list[dict[str, object]]:
    """What an existing index holds beside images of the same name, or the same image."""
    if not os.path.exists(index):
        return []
    with open(index, "rb") as file:
        try:
            found = json.load(file)["manifests"]
        except (ValueError, KeyError, TypeError) as error:
            raise ExportError(f'"{index}" is not an image index') from error
    name = _name_of(descriptor)
    return [
        entry
        for entry in found
        if entry.get("digest") != descriptor["digest"] and (not name or _name_of(entry) != name)
    ]


def _name_of(descriptor: dict[str, object]) -> object:
    annotations = descriptor.get("annotations")
    return as_object(annotations).get(IMAGE_NAME)


def _docker_manifest(image: Image, names: list[str]) -> bytes:
    document = [
        {
            "Config": f"blobs/{image.config_digest.replace(':', '/')}",
            "RepoTags": names or None,
            "Layers": [f"blobs/{layer.digest.replace(':', '/')}" for layer in image.layers],
        }
    ]
    return json.dumps(document, ensure_ascii=False).encode()


def _place(path: str, content: bytes) -> None:
    staging = f"{path}.{os.urandom(4).hex()}.tmp"
    with open(staging, "xb") as file:
        file.write(content)
    os.replace(staging, path)
