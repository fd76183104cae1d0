"""Images as one stream: an OCI image layout in a tar archive, with the manifest that `docker load` wants on demand."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, BinaryIO

from pybuild.oci.layoutwriter import LAYOUT_FILE, index_document
from pybuild.store.tarwrite import Header, TarWriter

if TYPE_CHECKING:
    from pybuild.digest import Digest
    from pybuild.exporter.artifact import Artifact
    from pybuild.exporter.image import Image
    from pybuild.store.store import Store


def write_archive(
    store: Store,
    file: BinaryIO,
    artifact: Artifact,
    entry: dict[str, object],
    *,
    docker_names: Sequence[str] | None = None,
    without: Collection[Digest] = (),
) -> None:
    """Write an archive; the same artifact always gives the same bytes.

    Args:
        store: where the layers are.
        file: where to.
        artifact: what to write.
        entry: its root in the index.
        docker_names: names that `docker load` gives the image; None for an archive that is not for it.
        without: blobs that the reader has already.
    """
    writer = TarWriter(file)
    for directory in ("blobs/", "blobs/sha256/"):
        writer.add(Header(directory, stat.S_IFDIR, mode=0o755))
    small = {document.descriptor.digest: document.data for document in artifact.documents}
    for digest in sorted(set(artifact.digests) - set(without)):
        _add_blob(store, writer, digest, small.get(digest))
    files = {"index.json": index_document([entry]), "oci-layout": LAYOUT_FILE}
    if docker_names is not None:
        files["manifest.json"] = _docker_manifest(artifact.images[0], docker_names)
    for name, content in sorted(files.items()):
        writer.add_bytes(Header(name, stat.S_IFREG, mode=0o644, size=len(content)), content)
    writer.close()


def _add_blob(store: Store, writer: TarWriter, digest: Digest, content: bytes | None) -> None:
    name = f"blobs/{digest.replace(':', '/')}"
    if content is not None:
        writer.add_bytes(Header(name, stat.S_IFREG, mode=0o644, size=len(content)), content)
        return
    with store.content.checked(digest) as file:
        size = os.fstat(file.fileno()).st_size
        writer.add_file(Header(name, stat.S_IFREG, mode=0o644, size=size), file)


def _docker_manifest(image: Image, names: Sequence[str]) -> bytes:
    document = [
        {
            "Config": f"blobs/{image.config_digest.replace(':', '/')}",
            "RepoTags": list(names) or None,
            "Layers": [f"blobs/{layer.digest.replace(':', '/')}" for layer in image.layers],
        }
    ]
    return json.dumps(document, ensure_ascii=False).encode()
