"""Copying entries of file trees on this host: by hard link, by reflink, or byte for byte, with all attributes.

What flattening, plain-copy snapshots and removal share. Trees are walked with a list, never by recursion.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pybuild.store.attributes import apply_attributes, attributes_of, read_xattrs


def copy_attributes(source: Path, status: os.stat_result, target: Path) -> None:
    """Give `target` the owner, mode, extended attributes (not overlayfs's own) and mtime of `source`."""
    attributes = attributes_of(status, read_xattrs(os.fspath(source)))
    apply_attributes(os.fspath(target), attributes, symlink=stat.S_ISLNK(status.st_mode))


def link_entry(source: Path, status: os.stat_result, target: Path) -> None:
    """Hard-link anything but a directory; a copy where the file system has no room for another link."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EMLINK, errno.EPERM, errno.EXDEV):
            raise
        copy_entry(source, status, target)


def copy_entry(source: Path, status: os.stat_result, target: Path) -> None:
    """Copy anything but a directory, sharing its blocks where the file system can."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        from pybuild.store.filecopy import copy_bytes

        with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
            copy_bytes(reader.fileno(), writer.fileno(), status.st_size)
    elif stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
    else:
        os.mknod(target, mode, status.st_rdev)
    copy_attributes(source, status, target)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a directory's contents into the new directory `target`; hard links within the tree stay hard links."""
    target.mkdir(mode=0o700)
    finished: list[tuple[Path, os.stat_result, Path]] = []
    links: dict[tuple[int, int], Path] = {}
    pending = [(source, target)]
    while pending:
        below, above = pending.pop()
        finished.append((below, below.lstat(), above))
        for name, status in entries(below):
            old, new = below / name, above / name
            if stat.S_ISDIR(status.st_mode):
                new.mkdir(mode=0o700)
                pending.append((old, new))
                continue
            first = links.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
            if first is not None:
                os.link(first, new, follow_symlinks=False)
                continue
            copy_entry(old, status, new)
            links[status.st_dev, status.st_ino] = new
    for below, status, above in reversed(finished):  # times last: children change them
        copy_attributes(below, status, above)


def entries(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Names and lstat results of a directory, in no particular order."""
    with os.scandir(directory) as found:
        for entry in found:
            yield entry.name, entry.stat(follow_symlinks=False)


def disk_usage(root: Path, *, directories_only: bool = False) -> tuple[int, int]:
    """Bytes allocated and number of inodes below `root`, itself included; of directories alone where that is asked.

    Directories that cannot be read, or that vanish meanwhile, count as empty. Raises FileNotFoundError when `root`
    itself is not there.
    """
    status = root.lstat()
    size, seen = status.st_blocks * 512, {(status.st_dev, status.st_ino)}
    pending = [root]
    while pending:
        directory = pending.pop()
        try:
            found = list(entries(directory))
        except (PermissionError, FileNotFoundError):
            continue
        for name, status in found:
            inode = (status.st_dev, status.st_ino)
            if inode not in seen and (stat.S_ISDIR(status.st_mode) or not directories_only):
                seen.add(inode)
                size += status.st_blocks * 512
            if stat.S_ISDIR(status.st_mode):
                pending.append(directory / name)
    return size, len(seen)


def remove_tree(root: Path) -> None:
    """Remove a file or directory, however deep and whatever its modes; nothing there is fine."""
    try:
        status = root.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        root.unlink(missing_ok=True)
        return
    empty: list[Path] = []
    pending = [root]
    lifted = 0
    while pending:
        directory = pending.pop()
        empty.append(directory)
        for name, is_directory in _names(directory):
            path = directory / name
            if not is_directory:
                path.unlink(missing_ok=True)
            elif len(os.fspath(path)) < 2048:
                pending.append(path)
            else:  # paths have a limit: go on from further up
                lifted += 1
                shorter = root / f".deep-{lifted}"
                path.chmod(0o700)
                path.rename(shorter)
                pending.append(shorter)
    for directory in reversed(empty):
        directory.rmdir()


def _names(directory: Path) -> list[tuple[str, bool]]:
    try:
        found = os.scandir(directory)
    except PermissionError:
        directory.chmod(0o700)
        found = os.scandir(directory)
    with found:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    if names and not os.access(directory, os.W_OK | os.X_OK):
        directory.chmod(0o700)
    return names
