"""Which files a list of paths needs, links followed: what a narrowed context has to hold.

A path may lead through symbolic links; the links and what they point to are both needed. Mirrors fsutil's followlinks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from posixpath import normpath

from pybuild.patterns import has_wildcards, match
from pybuild.store.tree import FileKind, LayeredTree

_MAX_LINKS = 255


def follow_paths(tree: LayeredTree, paths: Iterable[str]) -> list[str]:
    """Patterns that match exactly what `paths` lead to.

    Args:
        tree: the whole directory.
        paths: relative; components may have wildcards.

    Returns:
        patterns, sorted; none of them matching means that nothing is there.
    """
    found: set[str] = set()
    seen: set[str] = set()
    pending = list(paths)
    while pending and len(seen) < _MAX_LINKS * 64:
        path = normpath("/" + pending.pop()).lstrip("/")
        if path not in seen:
            seen.add(path)
            pending += _steps(tree, path, found)
    return sorted(re.sub(r"([*?\[\\])", r"\\\1", path) for path in found) or ["."]


def _steps(tree: LayeredTree, path: str, found: set[str]) -> Iterator[str]:
    """Walk down a path: what is needed goes into `found`; yields paths to go on with."""
    parts = path.split("/")
    at = ""
    for position, part in enumerate(parts):
        rest = "/".join(parts[position + 1 :])
        if has_wildcards(part):
            directory = tree.lookup("/" + at, follow=False)
            names = [child.name for child in tree.children(directory)] if directory and directory.is_dir else []
            yield from (_join(_join(at, name), rest) for name in names if match(part, name))
            return
        here = _join(at, part)
        entry = tree.lookup("/" + here, follow=False)
        if entry is not None and not entry.is_dir and entry.kind is FileKind.SYMLINK:
            found.add(here)
            target = os.readlink(entry.real)
            yield _join(target if target.startswith("/") else _join(at, target), rest)
            return
        at = here
    found.add(at)


def _join(left: str, right: str) -> str:
    return f"{left}/{right}" if left and right else left or right
