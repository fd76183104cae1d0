"""Unpacking an archive that is a build context, with the rules of tarfile's filter `tar`, which old Pythons lack."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from pybuild.errors import DefinitionError

_NOT_KEPT = 0o7022
"""Bits that are dropped: set-id, sticky, and writing for group and others."""


def unpack_context(archive: tarfile.TarFile, place: Path) -> None:
    """Unpack all members below `place`.

    Raises:
        DefinitionError: a member would be written outside.
        tarfile.TarError: the archive is broken.
        OSError: it cannot be written.
    """
    root = os.path.realpath(place)
    trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
    directories: list[tarfile.TarInfo] = []
    for member in archive:
        if member.ischr() or member.isblk():
            continue  # no context has devices
        member.name = _inside(root, member.name)
        if member.islnk():
            member.linkname = _inside(root, member.linkname)
        member.mode &= ~_NOT_KEPT
        if member.isdir():
            directories.append(member)
            member.mode |= 0o700
        archive.extract(member, root, **trusted)  # type: ignore[arg-type]  # a parameter that old Pythons lack
    for member in reversed(directories):  # their times change as long as something is put into them
        os.utime(Path(root, member.name), (member.mtime, member.mtime))


def _inside(root: str, name: str) -> str:
    """A member's name without slashes in front, once all links in it are known to lead nowhere else."""
    name = name.lstrip("/")
    if os.path.commonpath([root, os.path.realpath(Path(root, name))]) != root:
        raise DefinitionError(f'the context from standard input has a member outside of it: "{name}"')
    return name
