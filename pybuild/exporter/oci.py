"""Exporters for images as files: `oci` writes an OCI image layout, `docker` one that `docker load` takes as well.

Attributes, defaults and the metadata keys are those of buildx's `--output type=oci` and `type=docker`.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, cast

from pybuild.digest import Digest
from pybuild.errors import ExportError
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.destination import open_destination
from pybuild.exporter.image import Image, assemble
from pybuild.oci.document import as_object
from pybuild.protocols import ExportInput, ExportResult
from pybuild.store.compression import COMPRESSIONS, Compression
from pybuild.store.layers import LayerForm
from pybuild.store.tarwrite import Header, TarWriter

if TYPE_CHECKING:
    from pybuild.store.store import Store

_KNOWN: Final = (
    "name",
    "tar",
    "compression",
    "compression-level",
    "force-compression",
    "oci-mediatypes",
    "rewrite-timestamp",
    "annotation.*",
    "annotation-manifest.*",
    "annotation-manifest-descriptor.*",
)
_LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
_IMAGE_NAME: Final = "io.containerd.image.name"
_REF_NAME: Final = "org.opencontainers.image.ref.name"
_CREATED: Final = "org.opencontainers.image.created"


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
        given = Attributes(source.output, _KNOWN)
        given.done()
        dest = source.output.dest
        archive = given.flag("tar", default=True)
        if not archive and dest in ("", "-"):
            raise ExportError(f"type={self.type},tar=false needs a directory", hint="add dest=DIRECTORY")
        names = [name for name in given.text("name").split(",") if name]
        with self._store.leases.lease() as lease:
            report("exporting layers")
            image = assemble(
                self._store,
                source,
                _form(given, source.source_date_epoch),
                lambda digest: lease.add("content", digest),
                oci=given.flag("oci-mediatypes", default=self.type == "oci"),
                annotations={**given.below("annotation."), **given.below("annotation-manifest.")},
            )
            descriptor = _index_entry(image, names, given.below("annotation-manifest-descriptor."))
            if archive:
                with open_destination(dest, self.type) as file:
                    self._write_archive(file, image, descriptor, names)
            else:
                self._write_layout(dest, image, descriptor)
        return ExportResult(type=self.type, metadata=_metadata(image, descriptor, names), path=dest)

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


def _form(given: Attributes, epoch: int | None) -> LayerForm:
    compression = cast("Compression", given.choice("compression", COMPRESSIONS, "gzip"))
    return LayerForm(
        compression=compression,
        level=given.number("compression-level"),
        force=given.flag("force-compression", default=False),
        epoch=epoch if given.flag("rewrite-timestamp", default=False) else None,
    )


def _index_entry(image: Image, names: list[str], annotations: dict[str, str]) -> dict[str, object]:
    """The manifest's descriptor in the index, with the annotations by which tools find it."""
    known = dict(annotations)
    created = json.loads(image.config).get("created")
    if created:
        known[_CREATED] = created
    if names:
        known[_IMAGE_NAME] = names[0]
        known[_REF_NAME] = _tag(names[0])
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
    return as_object(annotations).get(_IMAGE_NAME)


def _docker_manifest(image: Image, names: list[str]) -> bytes:
    document = [
        {
            "Config": f"blobs/{image.config_digest.replace(':', '/')}",
            "RepoTags": names or None,
            "Layers": [f"blobs/{layer.digest.replace(':', '/')}" for layer in image.layers],
        }
    ]
    return json.dumps(document, ensure_ascii=False).encode()


def _metadata(image: Image, descriptor: dict[str, object], names: list[str]) -> tuple[tuple[str, object], ...]:
    entries: dict[str, object] = {
        "containerimage.config.digest": image.config_digest,
        "containerimage.descriptor": descriptor,
        "containerimage.digest": image.descriptor.digest,
    }
    if names:
        entries["image.name"] = ",".join(names)
    return tuple(sorted(entries.items()))


def _place(path: str, content: bytes) -> None:
    staging = f"{path}.{os.urandom(4).hex()}.tmp"
    with open(staging, "xb") as file:
        file.write(content)
    os.replace(staging, path)
