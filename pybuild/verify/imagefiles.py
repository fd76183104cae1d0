"""The files and config of an image in an OCI archive, as a comparison needs them."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, cast

import attrs

from pybuild.errors import ExportError

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_XATTR: Final = "SCHILY.xattr."
_CHUNK: Final = 1 << 20
_KINDS: Final = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
}


@attrs.frozen(kw_only=True)
class File:
    """One path of an image.

    `content` is the sha256 of a regular file's bytes, `link` a symbolic link's target, or the first of the paths that
    are one file by hard links; `mtime` in whole seconds; `layer` the number of the layer that it comes from.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    content: str = ""
    size: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, str], ...] = ()
    mtime: int = 0
    layer: int = 0


@attrs.frozen(kw_only=True)
class ImageFiles:
    """An image: its files by absolute path, its config document, and how many layers it has."""

    files: Mapping[str, File]
    config: Mapping[str, Any]
    layers: int


class ImageReader:
    """Reads images; a layer that several have is read once."""

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[str, File]]] = {}

    def read(self, path: Path) -> ImageFiles:
        """The image in an archive that an engine wrote. Raises ExportError."""
        try:
            with tarfile.open(path) as archive:
                index = _document(archive, "index.json")
                manifest = _document(archive, _blob(index["manifests"][0]["digest"]))
                config = _document(archive, _blob(manifest["config"]["digest"]))
                files: dict[str, File] = {}
                for number, layer in enumerate(manifest["layers"]):
                    _apply(files, self._layer(archive, str(layer["digest"])), number)
        except (OSError, tarfile.TarError, KeyError, ValueError, IndexError) as error:
            raise ExportError(f'"{path}" is no image: {error!r}') from error
        return ImageFiles(files=files, config=config, layers=len(manifest["layers"]))

    def _layer(self, archive: tarfile.TarFile, digest: str) -> list[tuple[str, File]]:
        if digest not in self._known:
            with _member(archive, _blob(digest)) as file:
                self._known[digest] = list(_entries(file))
        return self._known[digest]


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


def _document(archive: tarfile.TarFile, name: str) -> dict[str, Any]:
    with _member(archive, name) as file:
        return cast("dict[str, Any]", json.load(file))


def _entries(file: IO[bytes]) -> Iterator[tuple[str, File]]:
    magic = file.read(2)
    file.seek(0)
    stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if magic == b"\x1f\x8b" else file
    with tarfile.open(fileobj=stream, mode="r|") as layer:
        for item in layer:
            path = "/" + item.name.removeprefix("./").strip("/")
            if path in ("/", "/."):
                continue
            yield path, _file(layer, item)


def _file(layer: tarfile.TarFile, item: tarfile.TarInfo) -> File:
    content = ""
    if item.isreg():
        digest = hashlib.sha256()
        data = layer.extractfile(item)
        while data is not None and (part := data.read(_CHUNK)):
            digest.update(part)
        content = digest.hexdigest()
    link = "/" + item.linkname.removeprefix("./").strip("/") if item.islnk() else item.linkname
    xattrs = sorted(
        (name.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape").hex())
        for name, value in item.pax_headers.items()
        if name.startswith(_XATTR)
    )
    device = (item.devmajor, item.devminor) if item.ischr() or item.isblk() else (0, 0)
    return File(
        kind="hard link" if item.islnk() else _KINDS.get(item.type, "file"),
        mode=item.mode & 0o7777,
        uid=item.uid,
        gid=item.gid,
        content=content,
        size=item.size if item.isreg() else 0,
        link=link,
        device=device,
        xattrs=tuple(xattrs),
        mtime=int(item.mtime),
    )


def _apply(files: dict[str, File], layer: list[tuple[str, File]], number: int) -> None:
    """Lay one layer over what is there: whiteouts first, as they are about the layers below."""
    for path, _ in layer:
        folder, _, name = path.rpartition("/")
        if name == _OPAQUE:
            _remove(files, folder, itself=False)
        elif name.startswith(_WHITEOUT):
            _remove(files, f"{folder}/{name.removeprefix(_WHITEOUT)}", itself=True)
    for path, file in layer:
        if path.rpartition("/")[2].startswith(_WHITEOUT):
            continue
        before = files.get(path)
        if before is not None and before.kind == "directory" and file.kind != "directory":
            _remove(files, path, itself=True)
        if file.kind == "hard link":
            target = files.get(file.link)
            if target is not None:
                files[file.link] = attrs.evolve(target, link=target.link or file.link)
                files[path] = attrs.evolve(files[file.link], layer=number)
                continue
        elif before is not None and file.kind == "directory" and _same_directory(before, file):
            continue  # a layer repeats the directories that lead to what it changes
        files[path] = attrs.evolve(file, layer=number)


def _same_directory(before: File, after: File) -> bool:
    return attrs.evolve(after, layer=before.layer, mtime=before.mtime) == before


def _remove(files: dict[str, File], path: str, *, itself: bool) -> None:
    prefix = f"{path}/"
    for name in [name for name in files if name.startswith(prefix)]:
        del files[name]
    if itself:
        files.pop(path, None)
