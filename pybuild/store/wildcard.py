"""Finds the entries of a tree that a path with wildcards stands for, as copies and their cache keys both need it."""

from __future__ import annotations

from collections.abc import Iterator

from pybuild.errors import NotFound
from pybuild.patterns import has_wildcards, match
from pybuild.store.tree import Entry, LayeredTree


def split_wildcards(path: str) -> tuple[str, str]:
    """Split an absolute path before its first component with a wildcard.

    Example:
        >>> split_wildcards("/a/b*/c"), split_wildcards("/a/b")
        (('/a', 'b*/c'), ('/a/b', ''))
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    first = next((position for position, part in enumerate(parts) if has_wildcards(part)), len(parts))
    return "/" + "/".join(parts[:first]), "/".join(parts[first:])


def wildcard_matches(tree: LayeredTree, base: Entry, pattern: str) -> Iterator[tuple[str, Entry]]:
    """The entries below `base` that match, each with its path relative to `base`, in the order of a walk.

    A wildcard never matches a slash, so only directories that match so far are entered; links are not followed.
    """
    parts = pattern.split("/")
    stack: list[tuple[str, Entry]] = [("", base)]
    while stack:
        relative, entry = stack.pop()
        depth = relative.count("/") + 1 if relative else 0
        if depth == len(parts):
            yield relative, entry
        elif entry.is_dir:
            found = [child for child in tree.children(entry) if match(parts[depth], child.name)]
            stack.extend((f"{relative}/{child.name}" if relative else child.name, child) for child in reversed(found))


def resolve_wildcards(tree: LayeredTree, path: str, *, follow: bool) -> list[str]:
    """The paths that an action's path stands for, links in its fixed part resolved.

    Args:
        tree: where to look.
        path: absolute, perhaps with wildcards; without any it stands for itself.
        follow: follow the last component of the fixed part too.

    Raises:
        NotFound: the fixed part is not there.
    """
    fixed, pattern = split_wildcards(path)
    if not pattern:
        return [fixed]
    base = tree.lookup(fixed, follow=follow)
    if base is None:
        raise NotFound(f"lstat {fixed}: no such file or directory")
    return [entry.path for _, entry in wildcard_matches(tree, base, pattern)]
