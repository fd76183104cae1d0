"""What an OCI archive's image holds, file by file, read with the standard library alone.

Every scenario compares the archives of all peers with this, so that no ratio compares different work. Times are left
out (each build runs at another moment), and so are the places that builders mount over.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import stat
import tarfile
from pathlib import Path
from typing import IO

import attrs

MOUNTED = ("/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv")
"""Builders leave mount points there, or not."""


@attrs.frozen
class File:
    """One path of an image: type and mode, owner, and the digest of its bytes or the target of a link."""

    mode: int
    owner: tuple[int, int]
    content: str


Files = dict[str, File]
_KINDS = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK, tarfile.FIFOTYPE: stat.S_IFIFO}


def files_of(archive: Path) -> Files:
    """The files of the one image in an OCI archive.

    Args:
        archive: a tar file with an OCI layout.
    """
    files: Files = {}
    with tarfile.open(archive) as outer:
        members = {member.name.removeprefix("./"): member for member in outer}

        def blob(digest: str) -> IO[bytes]:
            found = outer.extractfile(members["blobs/" + digest.replace(":", "/")])
            assert found is not None
            return found

        document = json.load(outer.extractfile(members["index.json"]))  # type: ignore[arg-type]
        while "manifests" in document:
            document = json.load(blob(document["manifests"][0]["digest"]))
        for layer in document["layers"]:
            with tarfile.open(fileobj=_plain(blob(layer["digest"])), mode="r|") as changes:
                _apply(files, changes)
    return {path: file for path, file in files.items() if not _mounted(path)}


def differences(ours: Files, theirs: Files) -> list[str]:
    """One line for each path that is not the same in both.

    Example:
        >>> differences({"/a": File(0o100644, (0, 0), "x")}, {})
        ['/a: only in the first']
    """
    lines = [f"{path}: only in the first" for path in sorted(ours.keys() - theirs.keys())]
    lines += [f"{path}: only in the second" for path in sorted(theirs.keys() - ours.keys())]
    for path in sorted(ours.keys() & theirs.keys()):
        if ours[path] != theirs[path]:
            lines.append(f"{path}: {ours[path]} and {theirs[path]}")  # reads better
    return lines


def _plain(compressed: IO[bytes]) -> IO[bytes]:
    start = compressed.read(4)
    compressed.seek(0)
    if start[:2] == b"\x1f\x8b":
        return gzip.open(compressed)  # type: ignore[return-value]  # it reads like one
    if start == b"\x28\xb5\x2f\xfd":
        import zstandard

        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(compressed))
    return compressed


def _apply(files: Files, changes: tarfile.TarFile) -> None:
    added: set[str] = set()
    for member in changes:
        path = "/" + member.name.strip("/").removeprefix("./")
        folder, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            for below in _below(files, folder):
                if below not in added:
                    del files[below]
        elif name.startswith(".wh."):
            hidden = f"{folder}/{name.removeprefix('.wh.')}"
            for gone in [hidden, *_below(files, hidden)]:
                files.pop(gone, None)
        elif path not in ("/", "/."):
            added.add(path)
            files[path] = _file(files, member, changes)


def _below(files: Files, folder: str) -> list[str]:
    return [path for path in files if path.startswith(folder + "/")]


def _file(files: Files, member: tarfile.TarInfo, changes: tarfile.TarFile) -> File:
    if member.islnk():
        return files["/" + member.linkname.strip("/").removeprefix("./")]
    content = member.linkname
    if member.isreg():
        bytes_ = changes.extractfile(member)
        assert bytes_ is not None
        content = hashlib.file_digest(bytes_, "sha256").hexdigest()  # type: ignore[arg-type]  # it reads like one
    kind = _KINDS.get(member.type, stat.S_IFREG if member.isreg() else stat.S_IFCHR)
    return File(kind | member.mode, (member.uid, member.gid), content)


def _mounted(path: str) -> bool:
    return any(path == place or path.startswith(place + "/") for place in MOUNTED)
