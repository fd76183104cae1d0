"""One directory in place of many layers: the merged tree of an overlay, made of hard links.

Overlayfs takes a limited number of lower layers, and mount(2) one page of options. A chain of snapshots that grows
beyond that continues on a merged tree of its topmost ones (`overlay.py`). Files of committed snapshots are never
written again, so links to them are as good as copies.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from pybuild.store.attributes import is_opaque, is_whiteout
from pybuild.store.treecopy import copy_attributes, entries, link_entry, remove_tree


def flatten(lowers: Sequence[Path], target: Path, *, opaque: str | None = None) -> None:
    """Make the new directory `target` the merged tree of `lowers`.

    Args:
        lowers: layers, topmost first, with overlayfs's whiteouts and opaque directories.
        target: must not exist, on the same file system.
        opaque: the extended attribute that makes a directory opaque, where `target` takes the place of `lowers` above
            other layers: it then hides of them what `lowers` hide. None when nothing lies below.
    """
    target.mkdir(mode=0o700)
    for layer in reversed(lowers):
        _apply(layer, target, opaque)


def _apply(layer: Path, target: Path, opaque: str | None) -> None:
    """Lay one layer over the tree at `target`."""
    finished = [(layer, layer.lstat(), target)]
    pending = [(layer, target)]
    while pending:
        above, merged = pending.pop()
        for name, status in entries(above):
            source, place = above / name, merged / name
            if not stat.S_ISDIR(status.st_mode):
                remove_tree(place)
                if opaque or not is_whiteout(status):
                    link_entry(source, status, place)
                continue
            _make_directory(source, place, opaque)
            finished.append((source, status, place))
            pending.append((source, place))
    for source, status, place in reversed(finished):  # times last: children change them
        copy_attributes(source, status, place)


def _make_directory(source: Path, place: Path, opaque: str | None) -> None:
    """Make `place` a directory that shows of what is below it no more than `source` does."""
    hides = is_opaque(os.fspath(source))
    if os.path.lexists(place):
        covers = place.is_symlink() or not place.is_dir()  # a file or a whiteout: neither is there any more
        if not covers and not hides:
            return
        remove_tree(place)
        hides = True
    place.mkdir(mode=0o700)
    if hides and opaque:
        os.setxattr(place, opaque, b"y")
