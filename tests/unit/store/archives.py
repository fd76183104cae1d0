"""Archives for tests, written with the standard library, hostile ones included."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


def member(name: str, kind: bytes = tarfile.REGTYPE, **facts: object) -> tarfile.TarInfo:
    """A header; `facts` are attributes of `TarInfo`."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in facts.items():
        setattr(info, key, value)
    return info


def directory(name: str, **facts: object) -> tarfile.TarInfo:
    return member(name, tarfile.DIRTYPE, **facts)


def symlink(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.LNKTYPE, linkname=target)


def archive(*members: tarfile.TarInfo, contents: Mapping[str, bytes] | None = None) -> io.BytesIO:
    """A tar of the members; a regular file holds its name unless `contents` says otherwise."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info in members:
            data = (contents or {}).get(info.name, info.name.encode(errors="surrogateescape"))
            if info.isreg():
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            else:
                tar.addfile(info)
    out.seek(0)
    return out
