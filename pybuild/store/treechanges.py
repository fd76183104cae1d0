"""What changed between two complete trees, applied to a third: how plain-copy snapshots are stacked anew.

Two files count as the same when type, owner, mode, size, device, mtime and the bytes are.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pybuild.store.sameness import same_bytes
from pybuild.store.treecopy import copy_attributes, copy_entry, entries, remove_tree


def apply_changes(before: Path | None, after: Path, target: Path) -> None:
    """Change the tree `target` as `after` differs from `before`.

    Args:
        before: a complete tree; None is the empty one.
        after: a complete tree.
        target: the tree to change; nobody else uses it.
    """
    changed: dict[Path, Path] = {}
    pending: list[Path] = [Path()]
    while pending:
        relative = pending.pop()
        old = _status_of(before, relative)
        if not _same_attributes(old, (after / relative).lstat()):
            _open_path(relative, after, target, changed)
        new_entries = dict(entries(after / relative))
        old_entries = dict(entries(before / relative)) if before is not None and _is_directory(old) else {}
        for name in old_entries.keys() - new_entries.keys():
            _open_path(relative, after, target, changed)
            remove_tree(target / relative / name)
        for name, status in new_entries.items():
            path = relative / name
            if stat.S_ISDIR(status.st_mode):
                pending.append(path)
            elif not _same_entry(before, old_entries.get(name), after, status, path):
                _open_path(relative, after, target, changed)
                remove_tree(target / path)
                copy_entry(after / path, status, target / path)
    for relative, place in reversed(changed.items()):  # times last: children change them
        copy_attributes(after / relative, (after / relative).lstat(), place)


def _open_path(relative: Path, after: Path, target: Path, changed: dict[Path, Path]) -> None:
    """Make a directory and those above it directories in `target`, to take their attributes from `after`."""
    for path in reversed([relative, *relative.parents]):
        if path in changed:
            continue
        place = target / path
        if place.is_symlink() or not place.is_dir():
            remove_tree(place)
            place.mkdir(mode=0o700)
        changed[path] = place


def _status_of(root: Path | None, relative: Path) -> os.stat_result | None:
    if root is None:
        return None
    try:
        return (root / relative).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_directory(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _same_attributes(old: os.stat_result | None, new: os.stat_result) -> bool:
    return old is not None and (old.st_mode, old.st_uid, old.st_gid) == (new.st_mode, new.st_uid, new.st_gid)


def _same_entry(before: Path | None, old: os.stat_result | None, after: Path, new: os.stat_result, path: Path) -> bool:
    if before is None or old is None or not _same_attributes(old, new):
        return False
    if (old.st_rdev, old.st_mtime_ns) != (new.st_rdev, new.st_mtime_ns):
        return False
    if stat.S_ISLNK(new.st_mode):
        return (before / path).readlink() == (after / path).readlink()
    if not stat.S_ISREG(new.st_mode):
        return True
    if old.st_size != new.st_size:
        return False
    return same_bytes(before / path, after / path)
