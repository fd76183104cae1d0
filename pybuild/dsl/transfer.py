"""What `copy` and `add` take: paths, other states, documents, and for `add` downloads and git repositories.

Each source becomes one copy action with the flags that the Dockerfile frontend gives to COPY and ADD
(frontend/dockerfile/dockerfile2llb/convert_copy.go), so that equal copies share one cache whichever way they were
written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from pybuild.dsl import context, fileops, history
from pybuild.dsl.documents import Document
from pybuild.dsl.paths import PathRef, checked, destination, rooted
from pybuild.dsl.sourceedge import default_context
from pybuild.errors import ArgumentError
from pybuild.llb import construct
from pybuild.llb.files import CopyAction
from pybuild.llb.giturl import parse_git_ref
from pybuild.llb.vertex import Edge
from pybuild.llb.weburl import download_name
from pybuild.location import Location
from pybuild.request import HistoryStep
from pybuild.values import Value

if TYPE_CHECKING:
    from pybuild.dsl.state import State

Source: TypeAlias = "State | PathRef | Document | str"
Sources: TypeAlias = "Source | Sequence[Source]"
Word = Literal["COPY", "ADD"]
Copied = tuple[CopyAction, "Edge | None"]


@attrs.frozen(kw_only=True)
class Options(Value):
    """What all sources of one call share; see `State.copy` and `State.add`."""

    owner: str | None = None
    mode: int | str | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    parents: bool = False
    follow_links: bool = True
    unpack: bool | None = None
    checksum: str = ""
    keep_git_dir: bool | None = None


def copies(word: Word, source: Sources, dest: str, workdir: str | None, options: Options) -> list[Copied]:
    """The copies that `copy` and `add` make.

    Raises:
        ArgumentError: no source, or a value that cannot be.
        ReferenceFormatError: a URL is wrong.
    """
    one = _add if word == "ADD" else _copy
    context_edge = functools.cache(default_context)  # all paths of a call are of one vertex
    return [one(each, dest, workdir, options, context_edge) for each in _listed(source, word)]


def step(word: Word, source: Sources, dest: str, options: Options) -> HistoryStep:
    """The entry of the history."""
    names = [_written(each) for each in _listed(source, word)]
    return history.transfer_step(word, names, dest, owner=options.owner, mode=options.mode, parents=options.parents)


def _written(source: Source) -> str:
    if isinstance(source, str):
        return source
    if isinstance(source, Document):
        return f"<<{source.name}"
    if isinstance(source, PathRef):
        return source.path if source.written is None else source.written
    return "/"


def layer(base: Edge | None, copies: Sequence[Copied], location: Location, *, link: bool) -> Edge | None:
    """The copies on `base`; with `link` as a layer of their own, which does not depend on what is below."""
    if not link:
        return fileops.vertex(base, copies, location)
    own = fileops.vertex(None, copies, location)
    return construct.merge([base, own], metadata=context.metadata(), locations=[location])


def _listed(source: Sources, word: Word) -> Sequence[Source]:
    from pybuild.dsl.state import State

    sources = [source] if isinstance(source, State | PathRef | Document | str) else list(source)
    if not sources:
        raise ArgumentError(f"{word.lower()}(): there is nothing to copy", hint="name at least one path")
    return sources


def _copy(source: Source, dest: str, workdir: str | None, options: Options, context_edge: Callable[[], Edge]) -> Copied:
    from pybuild.dsl.state import State

    if isinstance(source, Document):
        return _plain(source.path, dest, workdir, options), source.edge()
    edge: Edge | None
    if isinstance(source, State):
        edge, path = source.head, "/"
    elif isinstance(source, PathRef):
        edge, path = source.edge, source.path
    else:
        edge, path = context_edge(), checked(source, "copy(): source", empty=True)
    (action,) = fileops.copies(
        [path],
        dest,
        workdir,
        owner=options.owner,
        mode=options.mode,
        include=options.include,
        exclude=options.exclude,
        parents=options.parents,
        follow_links=options.follow_links,
        unpack=bool(options.unpack),
    )
    return action, edge


def _add(source: Source, dest: str, workdir: str | None, options: Options, context_edge: Callable[[], Edge]) -> Copied:
    if isinstance(source, str):
        ref = parse_git_ref(source)
        if ref is not None and not ref.looks_local:
            from pybuild.dsl.remotes import repository

            edge = repository(source, keep_git_dir=bool(options.keep_git_dir), checksum=options.checksum)
            return _plain("/", dest, workdir, options), edge
        if ref is None and source.startswith(("http://", "https://")):
            return _download(source, dest, workdir, options)
    return _copy(source, dest, workdir, attrs.evolve(options, unpack=options.unpack is not False), context_edge)


def _download(url: str, dest: str, workdir: str | None, options: Options) -> Copied:
    from pybuild.dsl.remotes import http

    name = download_name(url)
    tree = http(url, filename=name, checksum=options.checksum or None)
    action = _plain(rooted(name), dest, workdir, options)
    return action.replace(attempt_unpack=bool(options.unpack)), tree.head


def _plain(path: str, dest: str, workdir: str | None, options: Options) -> CopyAction:
    """A copy of one thing that is known to be there: without wildcards and links."""
    bits, symbolic = fileops.copy_mode(options.mode)
    return CopyAction(
        source=path,
        dest=destination(workdir, dest),
        owner=fileops.parse_owner(options.owner),
        mode=bits,
        mode_str=symbolic,
        create_dest_path=True,
        include_patterns=tuple(options.include),
        exclude_patterns=tuple(options.exclude),
    )
