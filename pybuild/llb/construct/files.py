"""File vertices: actions one after the other, and how what they work on is numbered. Mirrors client/llb/fileop.go."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from pybuild.errors import DefinitionError
from pybuild.llb.files import (
    SCRATCH,
    UNSET_MODE,
    UNSET_TIME,
    CopyAction,
    FileAction,
    MkdirAction,
    MkfileAction,
    Owner,
    RmAction,
    SymlinkAction,
    UserName,
)
from pybuild.llb.meta import NO_CONSTRAINTS, NO_METADATA, Constraints, Metadata
from pybuild.llb.mounts import NO_OUTPUT
from pybuild.llb.numbering import bound, renumbered, united
from pybuild.llb.ops import FileOp
from pybuild.llb.vertex import Edge, Vertex
from pybuild.llb.walk import file_visits
from pybuild.location import Location

_PERMISSIONS = 0o777


@attrs.frozen(eq=False)
class FileChain:
    """Actions on a base whose result is only copied from, within one file vertex.

    Args:
        base: the tree to change; None for an empty one.
        actions: each action with what a copy reads from.
    """

    base: Edge | None
    actions: Sequence[tuple[FileAction, CopySource]]


CopySource: TypeAlias = "Edge | FileChain | None"
"""What a copy reads from: an output of a vertex, a chain of actions, or nothing."""


def file(
    base: Edge | None,
    actions: Sequence[tuple[FileAction, CopySource]],
    *,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """A file vertex: `actions` applied to `base` one after the other.

    Args:
        base: the tree to change; None for an empty one.
        actions: each action with what a copy reads from (None: scratch, and for every other action).
        constraints: worker filter; file operations are the same for every platform.
        metadata: name and hints.
        locations: where it was written.

    Raises:
        DefinitionError: there is no action.
    """
    if not actions:
        raise DefinitionError("a file operation needs an action", locations=tuple(locations))
    op, edges = _numbered(base, actions)
    kept, numbers = [0] * len(edges), [0] * len(edges)  # of up to one input, as most have
    if len(edges) > 1:
        kept, numbers = united([(edge.vertex.digest, edge.output) for edge in edges])
    twins = len(kept) < len(edges)
    return Vertex(
        renumbered(op, numbers, len(kept)) if twins else op,
        [edges[position] for position in kept],
        constraints=constraints if constraints.platform is None else constraints.replace(platform=None),
        metadata=metadata,
        locations=locations,
        visits=[edges[number].vertex for number in file_visits(op.actions, len(edges))] if twins else (),
    )


def _numbered(base: Edge | None, actions: Sequence[tuple[FileAction, CopySource]]) -> tuple[FileOp, list[Edge]]:
    """The op with its numbers, and the edges that stand behind them."""
    action = actions[0][0]
    if len(actions) == 1 and not isinstance(action, CopyAction) and getattr(action, "owner", None) is None:
        # Nearly all that is not a copy: there is nothing to look up and nothing to choose.
        below, edges = (SCRATCH, []) if base is None else (0, [base])
        return FileOp(actions=(action.replace(input=below, output=0),)), edges
    numbered = _Numbering()
    numbered.add(FileChain(base, actions))
    return numbered.op(), numbered.edges


@attrs.define
class _Placed:
    """An action with numbers: of its base, of what it and a copy work on; `chained` and `copied` are actions."""

    action: FileAction
    base: int
    chained: int | None
    source: int
    copied: int | None

    def look_up(self, _number: int) -> int:
        """Where names of owners are looked up."""
        return self.base


class _Numbering:
    """Numbers the inputs (one per edge object) and the actions of a file vertex in the client's order."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._placed: list[_Placed] = []
        self._ends: dict[int, int] = {}
        """The last action of a chain, by the chain's id: one that is copied from twice is made once."""

    def add(self, chain: FileChain) -> None:
        """Number a chain, and the chains that it copies from before the copies, without recursion."""
        stack: list[tuple[FileChain, int, int | None]] = [(chain, 0, None)]
        while stack:
            current, position, previous = stack.pop()
            if position == len(current.actions):
                assert previous is not None
                self._ends[id(current)] = previous
                continue
            action, source = current.actions[position]
            base = self._number(current.base)
            if isinstance(source, FileChain) and id(source) not in self._ends:
                stack += [(current, position, previous), (source, 0, None)]
                continue
            copied = self._ends[id(source)] if isinstance(source, FileChain) else None
            number = SCRATCH if isinstance(source, FileChain) else self._number(source)
            self._placed.append(_Placed(action, base, previous, number, copied))
            stack.append((current, position + 1, len(self._placed) - 1))

    def _number(self, edge: Edge | None) -> int:
        if edge is None:
            return SCRATCH
        number = self._numbers.setdefault((id(edge.vertex), edge.output), len(self.edges))
        if number == len(self.edges):
            self.edges.append(edge)
        return number

    def op(self) -> FileOp:
        """All actions, bound to their numbers. Results of actions are numbered after the inputs."""
        count, last = len(self.edges), len(self._placed) - 1
        made: list[FileAction] = []
        for position, placed in enumerate(self._placed):
            below = placed.base if placed.chained is None else count + placed.chained
            changes: dict[str, object] = {"input": below, "output": 0 if position == last else NO_OUTPUT}
            if isinstance(placed.action, CopyAction):
                changes["secondary_input"] = placed.source if placed.copied is None else count + placed.copied
            owner: Owner | None = getattr(placed.action, "owner", None)
            if owner is not None:  # names are looked up in the base that the whole chain started from
                changes["owner"] = bound(owner, placed.look_up)
            made.append(placed.action.replace(**changes))
        return FileOp(actions=tuple(made))


def owner_of(text: str) -> Owner:
    """An owner as `user[:group]`: numbers, or names to look up; `root` is 0.

    Example:
        >>> owner_of("app:0")
        Owner(user=UserName(name='app', input=-1), group=0)
    """
    user, colon, group = text.partition(":")
    return Owner(user=_user(user), group=_user(group) if colon else None)


def _user(text: str) -> UserName | int:
    if text == "root":
        return 0
    try:
        number = int(text) if text.isascii() and "_" not in text and text == text.strip() else None
    except ValueError:
        number = None
    if number is None or not -(1 << 31) <= number < 1 << 31:
        return UserName(name=text)
    return number & 0xFFFFFFFF


def mkdir(
    path: str,
    mode: int = 0o755,
    *,
    make_parents: bool = False,
    owner: Owner | None = None,
    created: int = UNSET_TIME,
    workdir: str = "/",
) -> MkdirAction:
    """Make a directory.

    Args:
        path: where; a relative one starts at `workdir`.
        mode: permission bits, of which those beyond 0777 are dropped.
        make_parents: make parents too; an existing directory is no error.
        owner: whom it belongs to.
        created: its time, in nanoseconds since the epoch; -1 leaves it to the worker.
        workdir: what `path` is relative to.
    """
    return MkdirAction(
        path=_absolute(workdir, path),
        mode=mode & _PERMISSIONS,
        make_parents=make_parents,
        owner=owner,
        timestamp=created,
    )


def mkfile(
    path: str,
    mode: int,
    data: bytes,
    *,
    owner: Owner | None = None,
    created: int = UNSET_TIME,
    workdir: str = "/",
) -> MkfileAction:
    """Write a file, replacing what is there.

    Args:
        path: where; a relative one starts at `workdir`.
        mode: permission bits, of which those beyond 0777 are dropped.
        data: the content.
        owner: whom it belongs to.
        created: its time, in nanoseconds since the epoch; -1 leaves it to the worker.
        workdir: what `path` is relative to.
    """
    return MkfileAction(
        path=_absolute(workdir, path), mode=mode & _PERMISSIONS, data=data, owner=owner, timestamp=created
    )


def rm(path: str, *, allow_not_found: bool = False, allow_wildcard: bool = False, workdir: str = "/") -> RmAction:
    """Remove a file, or a directory with all below it.

    Args:
        path: what; a relative one starts at `workdir`.
        allow_not_found: that nothing is there is no error.
        allow_wildcard: `path` is a pattern.
        workdir: what `path` is relative to.
    """
    return RmAction(path=_absolute(workdir, path), allow_not_found=allow_not_found, allow_wildcard=allow_wildcard)


def symlink(old_path: str, new_path: str, *, owner: Owner | None = None, created: int = UNSET_TIME) -> SymlinkAction:
    """Make a symbolic link.

    Args:
        old_path: the text that it holds.
        new_path: where; taken as it is, from the root of the tree.
        owner: whom it belongs to.
        created: its time, in nanoseconds since the epoch; -1 leaves it to the worker.
    """
    return SymlinkAction(old_path=old_path, new_path=new_path, owner=owner, timestamp=created)


def copy(
    source: str,
    dest: str,
    *,
    owner: Owner | None = None,
    mode: int | None = None,
    mode_str: str = "",
    follow_symlinks: bool = False,
    copy_dir_contents_only: bool = False,
    attempt_unpack: bool = False,
    create_dest_path: bool = False,
    allow_wildcard: bool = False,
    allow_empty_wildcard: bool = False,
    created: int = UNSET_TIME,
    include_patterns: Sequence[str] = (),
    exclude_patterns: Sequence[str] = (),
    always_replace_existing_dest_paths: bool = False,
    required_paths: Sequence[str] = (),
    workdir: str = "/",
    source_workdir: str = "/",
) -> CopyAction:
    """Copy a file, or a directory with all below it, from another tree.

    Args:
        source: what; a relative one starts at `source_workdir`.
        dest: where to; a relative one starts at `workdir`. With a slash, or a slash and a dot, at the end it is a
            directory.
        owner: whom the copies belong to; None keeps owners.
        mode: mode bits of the copies; None keeps the sources'.
        mode_str: a symbolic mode such as `u+x`, which wins over `mode`.
        follow_symlinks: copy what links at `source` point to.
        copy_dir_contents_only: copy what is in a directory instead of the directory.
        attempt_unpack: unpack archives, as ADD does.
        create_dest_path: make the parents of `dest`.
        allow_wildcard: `source` is a pattern.
        allow_empty_wildcard: a pattern that matches nothing is no error.
        created: time of the copies, in nanoseconds since the epoch; -1 keeps the sources'.
        include_patterns: only what matches is copied.
        exclude_patterns: what matches is not copied.
        always_replace_existing_dest_paths: replace what is there even where a directory meets a file.
        required_paths: paths that must be among those copied.
        workdir: what `dest` is relative to.
        source_workdir: what `source` is relative to.
    """
    bits = UNSET_MODE if mode is None else mode
    return CopyAction(
        source=_absolute(source_workdir, source),
        dest=_destination(workdir, dest),
        owner=owner,
        mode=0 if mode_str else bits,
        mode_str=mode_str,
        follow_symlink=follow_symlinks,
        dir_copy_contents=copy_dir_contents_only,
        attempt_unpack=attempt_unpack,
        create_dest_path=create_dest_path,
        allow_wildcard=allow_wildcard,
        allow_empty_wildcard=allow_empty_wildcard,
        timestamp=created,
        include_patterns=tuple(include_patterns),
        exclude_patterns=tuple(exclude_patterns),
        always_replace_existing_dest_paths=always_replace_existing_dest_paths,
        required_paths=tuple(required_paths),
    )


def _absolute(workdir: str, path: str) -> str:
    if path.startswith("/"):
        return "/" + posixpath.normpath(path).lstrip("/")
    return "/" + posixpath.normpath(f"/{workdir}/{path}").lstrip("/")


def _destination(workdir: str, dest: str) -> str:
    """The destination of a copy: what it ends with says that it is a directory."""
    path = _absolute(workdir, dest)
    if dest.endswith("/") and not path.endswith("/"):
        return path + "/"
    if dest.endswith("/."):
        return (path if path == "/" else path + "/") + "."
    return path
