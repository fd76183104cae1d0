"""The calls of a chain that copy files from elsewhere into it: `copy` and `add`.

`State` has them from here. What they take and make is in `transfer`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from pybuild._boundary import public
from pybuild.dsl import transfer
from pybuild.dsl.documents import Document
from pybuild.dsl.paths import PathRef
from pybuild.dsl.transfer import Sources, Word

if TYPE_CHECKING:
    from pybuild.dsl.state import State

Made = TypeVar("Made")


class TransferCalls(ABC, Generic[Made]):
    """What files can be copied into."""

    __slots__ = ()

    @abstractmethod
    def _transferred(self, word: Word, source: Sources, dest: str, options: transfer.Options, *, link: bool) -> Made:
        """The same with files copied; `word` says which call it was."""

    @public
    def copy(
        self,
        source: State | PathRef | Document | str | Sequence[State | PathRef | Document | str],
        dest: str = ".",
        *,
        owner: str | None = None,
        mode: int | str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        parents: bool = False,
        follow_links: bool = True,
        unpack: bool = False,
        link: bool = False,
    ) -> Made:
        """Copy files, with the meaning of COPY in a Dockerfile.

        Args:
            source: text for a path (wildcards allowed) in the default local context, which is the directory of the
                Buildfile; a path of another state; a state for all of it; a document; or a list of such.
            dest: where to; a trailing `/` says that it is a directory. Relative to the working directory.
            owner: `user[:group]` of everything copied; root by default for the local context.
            mode: permission bits, or symbolic text such as `u=rwX,go=rX`.
            include: patterns; only what matches is copied.
            exclude: patterns of what is left out.
            parents: keep the source's parent directories below `dest`.
            follow_links: copy what a link that is the source points to; False copies the link.
            unpack: extract the source when it is an archive.
            link: make a layer that does not depend on what is below, so that it stays cached when that changes;
                without effect where `mode` is given, as in a Dockerfile.

        Example:
            >>> from pybuild import image, scratch
            >>> built = image("golang:1.24").run("go build -o /out/app .")
            >>> scratch().copy(built.path("/out/app"), "/app")
            <State copy /out/app /app>
        """
        options = transfer.Options(
            owner=owner,
            mode=mode,
            include=include,
            exclude=exclude,
            parents=parents,
            follow_links=follow_links,
            unpack=unpack,
        )
        return self._transferred("COPY", source, dest, options, link=link and not mode)

    @public
    def add(
        self,
        source: State | PathRef | Document | str | Sequence[State | PathRef | Document | str],
        dest: str = ".",
        *,
        owner: str | None = None,
        mode: int | str | None = None,
        exclude: Sequence[str] = (),
        checksum: str = "",
        keep_git_dir: bool | None = None,
        unpack: bool | None = None,
        link: bool = False,
    ) -> Made:
        """Copy files with the meaning of ADD in a Dockerfile: also downloads and git repositories.

        Args:
            source: as for `copy`; a text may also be an http or https URL, or that of a git repository.
            dest: where to; as for `copy`.
            owner: as for `copy`.
            mode: as for `copy`.
            exclude: patterns of what is left out.
            checksum: of a download (`sha256:...`), or hex digits that the commit begins with.
            keep_git_dir: keep `.git` of a repository.
            unpack: whether to extract archives; by default those of the context, and no downloads.
            link: as for `copy`.

        Example:
            >>> from pybuild import image
            >>> image("alpine").add("https://example.com/tool.tar.gz", "/opt/", unpack=True)
            <State copy /tool.tar.gz /opt/>
        """
        options = transfer.Options(
            owner=owner,
            mode=mode,
            exclude=exclude,
            unpack=unpack,
            checksum=checksum,
            keep_git_dir=keep_git_dir,
        )
        return self._transferred("ADD", source, dest, options, link=link and not mode)
