"""Paths inside file systems, and `PathRef`: this path of that state.

Joining follows the Dockerfile frontend: a trailing `/` or `/.` of a destination means something and is kept. A path
stays relative where the working directory is not known yet (the image's config says it); the pass `resolve`
completes it.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs

from pybuild._boundary import public
from pybuild.errors import ArgumentError
from pybuild.llb.vertex import Edge
from pybuild.location import capture
from pybuild.platform import Platform
from pybuild.shown import Shown

if TYPE_CHECKING:
    from pybuild.dsl.state import State

StrPath: TypeAlias = str | Path


@attrs.frozen
class PathRef(Shown):
    """A path of a state, as a source for `copy`, `bind` and `cache`; made by `State.path`.

    Example:
        >>> from pybuild import image
        >>> image("alpine").path("/etc/passwd")
        <PathRef /etc/passwd of alpine>
    """

    edge: Edge | None
    path: str
    written: str | None = attrs.field(default=None, eq=False)

    @public
    def tree(self) -> State:
        """The directory as a state of its own, whose root it is.

        Example:
            >>> from pybuild import git
            >>> site = git("https://example.com/team/app.git", "v1").path("site").tree()
            >>> site.path("index.html")
            <PathRef /index.html of copy /site />
        """
        from pybuild.dsl import fileops
        from pybuild.dsl.config import EMPTY
        from pybuild.dsl.state import State
        from pybuild.llb.files import CopyAction

        location = capture()
        action = CopyAction(source=self.path, dest="/", dir_copy_contents=True)
        return State._make(fileops.vertex(None, [(action, self.edge)], location), EMPTY, None, location)

    def __repr__(self) -> str:
        from pybuild.llb.vertex import summary

        owner = "scratch" if self.edge is None else summary(self.edge.vertex.op).removeprefix("docker.io/library/")
        return f"<PathRef {self.path} of {owner.removesuffix(':latest')}>"


def rooted(path: str, directory: str = "/") -> str:
    """`path` as a clean absolute path; a relative one starts in `directory`, and nothing climbs above `/`.

    Example:
        >>> rooted("a/../b"), rooted("../up"), rooted("out", "/src")
        ('/b', '/up', '/src/out')
    """
    return posixpath.normpath("/" + posixpath.join(directory, path)).replace("//", "/")


def slashed(path: str, platform: Platform) -> str:
    r"""A path of a file system as the graph has it: on Windows without its drive, and with slashes.

    Example:
        >>> slashed("C:\\app\\", Platform("windows", "amd64")), slashed("a\\b", Platform("linux", "amd64"))
        ('/app/', 'a\\b')
    """
    if platform.os != "windows":
        return path
    plain = path.replace("\\", "/")
    return plain[2:] or "/" if plain[:2].lower() == "c:" else plain


def join(directory: str | None, path: str) -> str:
    """`path` seen from `directory`: absolute as soon as one of both is, else clean and relative.

    Example:
        >>> join("/w", "a/../b"), join(None, "./x"), join("sub", "/abs")
        ('/w/b', 'x', '/abs')
    """
    joined = posixpath.normpath(posixpath.join(directory or "", path))
    return joined.replace("//", "/", 1) if joined.startswith("//") else joined


def destination(directory: str | None, path: str) -> str:
    """Where a copy goes, with the trailing `/` or `/.` kept (both say: into this directory).

    Example:
        >>> destination("/wd", "."), destination("/wd", "sub/."), destination(None, "."), destination(None, "c/../d")
        ('/wd/', '/wd/sub/.', './', 'd')
    """
    if path in ("", ".", "./"):
        whole = join(directory, ".")
        return "./" if whole == "." else whole.rstrip("/") + "/"
    end = "/." if path.endswith("/.") else "/" if path.endswith("/") else ""
    joined = join(directory, path)
    return joined if joined == "/" else joined + end


def checked(path: str, what: str, *, empty: bool = False) -> str:
    """`path` itself, unless no file system could have it.

    Args:
        path: which.
        what: what it is, for messages.
        empty: an empty text is fine: it means the directory that relative paths start at, as in a Dockerfile.

    Raises:
        ArgumentError: it is empty or holds a NUL character.
    """
    if not path and not empty:
        raise ArgumentError(f"{what} must not be empty")
    if "\0" in path:
        raise ArgumentError(f"{what} {path!r} holds a NUL character")
    return path
