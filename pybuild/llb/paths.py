"""Paths inside a file tree: always absolute, always with forward slashes."""

from __future__ import annotations

from posixpath import normpath


def clean(path: str) -> str:
    """`path` made absolute and normalized; it cannot leave the tree.

    Example:
        >>> clean("a/../b/"), clean("//x"), clean("../y"), clean("")
        ('/b', '/x', '/y', '/')
    """
    return normpath("/" + path.lstrip("/"))
