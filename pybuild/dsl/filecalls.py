"""The calls of a chain that change files without running anything: one file vertex each.

`State` has them from here. `copy`, which takes other states, is in `state`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from pybuild._boundary import public
from pybuild.dsl import fileops
from pybuild.llb.files import FileAction

Made = TypeVar("Made")


class FileCalls(ABC, Generic[Made]):
    """What has a file system and a working directory."""

    __slots__ = ()

    @property
    @abstractmethod
    def _workdir(self) -> str | None:
        """Where relative paths start; None when only the image knows."""

    @abstractmethod
    def _changed(self, action: FileAction) -> Made:
        """The same with one file action done."""

    @public
    def mkdir(self, path: str, *, mode: int = 0o755, parents: bool = True, owner: str | None = None) -> Made:
        """Create a directory.

        Args:
            path: where; relative to the working directory.
            mode: permission bits.
            parents: also create what is missing above it, and accept that it exists.
            owner: `user[:group]`, root by default.

        Example:
            >>> from pybuild import scratch
            >>> scratch().mkdir("/var/lib/app", owner="1000:1000")
            <State mkdir /var/lib/app>
        """
        workdir = self._workdir
        return self._changed(fileops.make_directory(path, workdir, mode=mode, parents=parents, owner=owner))

    @public
    def write(self, path: str, data: str | bytes, *, mode: int = 0o644, owner: str | None = None) -> Made:
        """Write a file; its directory must exist.

        Args:
            path: where; relative to the working directory.
            data: the content; text is encoded as UTF-8.
            mode: permission bits.
            owner: `user[:group]`, root by default.

        Example:
            >>> from pybuild import scratch
            >>> scratch().write("/motd", "welcome")
            <State mkfile /motd>
        """
        return self._changed(fileops.make_file(path, data, self._workdir, mode=mode, owner=owner))

    @public
    def symlink(self, target: str, path: str) -> Made:
        """Create a symbolic link at `path` that holds the text `target`.

        Example:
            >>> from pybuild import scratch
            >>> scratch().symlink("busybox", "/bin/sh")
            <State symlink busybox /bin/sh>
        """
        return self._changed(fileops.make_link(target, path, self._workdir))

    @public
    def remove(self, path: str, *, missing_ok: bool = False, wildcard: bool = False) -> Made:
        """Remove a file, or a directory with all below it.

        Args:
            path: which; relative to the working directory.
            missing_ok: it is no failure when there is nothing.
            wildcard: `path` is a pattern.

        Example:
            >>> from pybuild import image
            >>> image("alpine").remove("/var/cache/apk/*", wildcard=True)
            <State rm /var/cache/apk/*>
        """
        workdir = self._workdir
        return self._changed(fileops.removal(path, workdir, missing_ok=missing_ok, wildcard=wildcard))
