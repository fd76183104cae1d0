"""File operations of the client API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from pybuild.errors import DefinitionError
from pybuild.llb import construct
from pybuild.llb.construct import FileChain
from pybuild.llb.files import UNSET_TIME, FileAction, Owner, UserName
from pybuild.llb.vertex import Vertex
from tests.wire.client import structs
from tests.wire.client.constraints import Constraints, collected
from tests.wire.client.operations import Operation, OperationOutput
from tests.wire.client.options import apply_all
from tests.wire.client.sources import Change
from tests.wire.client.states import State
from tests.wire.client.structs import ChownOpt, CopyInfo, MkdirInfo, MkfileInfo, RmInfo, SymlinkInfo, UserOpt
from tests.wire.golang.interpret import GoPanic

Make = Callable[[str, str], FileAction]
"""Makes an action, given the directory that paths start at, and the one of a copy's source."""


@attrs.frozen(eq=False)
class Action:
    """`llb.FileAction`: an action after others; `source` is what a copy reads from."""

    make: Make
    prev: Action | None = None
    source: State | Bound | None = None

    def Mkdir(self, *arguments: Any) -> Action:
        return attrs.evolve(mkdir(*arguments), prev=self)

    def Mkfile(self, *arguments: Any) -> Action:
        return attrs.evolve(mkfile(*arguments), prev=self)

    def Symlink(self, *arguments: Any) -> Action:
        return attrs.evolve(symlink(*arguments), prev=self)

    def Rm(self, *arguments: Any) -> Action:
        return attrs.evolve(rm(*arguments), prev=self)

    def Copy(self, *arguments: Any) -> Action:
        return attrs.evolve(copy(*arguments), prev=self)

    def WithState(self, state: State) -> Bound:
        return Bound(self, state)

    def chain(self) -> list[Action]:
        """This action after all before it."""
        found: list[Action] = []
        current: Action | None = self
        while current is not None:
            found.append(current)
            current = current.prev
        return found[::-1]


@attrs.frozen(eq=False)
class Bound:
    """Actions on a state, to copy from."""

    action: Action
    state: State


def file(state: State, action: Action | None, options: Sequence[Any]) -> State:
    """`State.File`."""
    constraints = collected(options)

    def made(given: Constraints) -> Vertex:
        if action is None:
            raise DefinitionError("action is required")
        chain = _chain(Bound(action, state), given, {})
        return construct.file(chain.base, chain.actions, **constraints.of_vertex(given))

    return state.WithOutput(OperationOutput(Operation(made)))


def _chain(bound: Bound, given: Constraints, known: dict[int, FileChain]) -> FileChain:
    if id(bound) in known:
        return known[id(bound)]
    workdir = _directory(bound.state)
    actions: list[tuple[FileAction, Any]] = []
    for action in bound.action.chain():
        source: Any = None
        origin = workdir
        if isinstance(action.source, Bound):
            source, origin = _chain(action.source, given, known), _directory(action.source.state)
        elif action.source is not None:
            source, origin = action.source.edge(given), _directory(action.source)
        actions.append((action.make(workdir, origin), source))
    made = known[id(bound)] = FileChain(bound.state.edge(given), actions)
    return made


def _directory(state: State) -> str:
    # Go reads it without the constraints of the marshalling.
    found: str = state.get("dir", Constraints()) or "/"
    return found


def _owner(given: ChownOpt | None) -> Owner | None:
    return None if given is None else Owner(user=_user(given.User), group=_user(given.Group))


def _user(given: UserOpt | None) -> UserName | int | None:
    if given is None:
        return None
    return UserName(name=given.Name) if given.Name else given.UID & 0xFFFFFFFF


def _time(given: int | None) -> int:
    return UNSET_TIME if given is None else int(given)


def mkdir(path: str, mode: int, *options: Any) -> Action:
    info: MkdirInfo = apply_all(MkdirInfo(), options)
    return Action(
        lambda workdir, _: construct.mkdir(
            path,
            mode,
            make_parents=info.MakeParents,
            owner=_owner(info.ChownOpt),
            created=_time(info.CreatedTime),
            workdir=workdir,
        )
    )


def mkfile(path: str, mode: int, data: bytes | None, *options: Any) -> Action:
    info: MkfileInfo = apply_all(MkfileInfo(), options)
    return Action(
        lambda workdir, _: construct.mkfile(
            path, mode, data or b"", owner=_owner(info.ChownOpt), created=_time(info.CreatedTime), workdir=workdir
        )
    )


def symlink(old_path: str, new_path: str, *options: Any) -> Action:
    info: SymlinkInfo = apply_all(SymlinkInfo(), options)
    return Action(
        lambda _, __: construct.symlink(
            old_path, new_path, owner=_owner(info.ChownOpt), created=_time(info.CreatedTime)
        )
    )


def rm(path: str, *options: Any) -> Action:
    info: RmInfo = apply_all(RmInfo(), options)
    return Action(
        lambda workdir, _: construct.rm(
            path, allow_not_found=info.AllowNotFound, allow_wildcard=info.AllowWildcard, workdir=workdir
        )
    )


def copy(source: State | Bound, src: str, dest: str, *options: Any) -> Action:
    if not isinstance(source, Bound) and type(source) is not State:
        raise GoPanic(f"invalid input type llb.{type(source).__name__} for copy")
    info: CopyInfo = apply_all(CopyInfo(), options)
    return Action(
        lambda workdir, origin: construct.copy(
            src,
            dest,
            owner=_owner(info.ChownOpt),
            mode=None if info.Mode is None else info.Mode.Mode,
            mode_str="" if info.Mode is None else info.Mode.ModeStr,
            follow_symlinks=info.FollowSymlinks,
            copy_dir_contents_only=info.CopyDirContentsOnly,
            attempt_unpack=info.AttemptUnpack,
            create_dest_path=info.CreateDestPath,
            allow_wildcard=info.AllowWildcard,
            allow_empty_wildcard=info.AllowEmptyWildcard,
            created=_time(info.CreatedTime),
            include_patterns=info.IncludePatterns or (),
            exclude_patterns=info.ExcludePatterns or (),
            always_replace_existing_dest_paths=info.AlwaysReplaceExistingDestPaths,
            required_paths=info.RequiredPaths or (),
            workdir=workdir,
            source_workdir=origin,
        ),
        source=source,
    )


def with_user(name: str) -> ChownOpt:
    owner = construct.owner_of(name)
    return ChownOpt(User=_opt(owner.user), Group=_opt(owner.group))


def _opt(half: UserName | int | None) -> UserOpt | None:
    if half is None:
        return None
    return UserOpt(Name=half.name) if isinstance(half, UserName) else UserOpt(UID=half)


def _set(name: str) -> Callable[[Any], Change]:
    return lambda value: Change(lambda info: setattr(info, name, value))


def _excluded(patterns: Sequence[str]) -> Change:
    def change(info: CopyInfo) -> None:
        info.ExcludePatterns = [*(info.ExcludePatterns or ()), *(patterns or ())]

    return Change(change)


FUNCTIONS: Mapping[str, Any] = {
    "Mkdir": mkdir,
    "Mkfile": mkfile,
    "Symlink": symlink,
    "Rm": rm,
    "Copy": copy,
    "WithParents": _set("MakeParents"),
    "WithAllowNotFound": _set("AllowNotFound"),
    "WithAllowWildcard": _set("AllowWildcard"),
    "WithCreatedTime": _set("CreatedTime"),
    "WithExcludePatterns": _excluded,
    "WithUser": with_user,
    "WithUIDGID": lambda uid, gid: ChownOpt(User=UserOpt(UID=uid), Group=UserOpt(UID=gid)),
    **{
        name: getattr(structs, name)
        for name in ("ChownOpt", "ChmodOpt", "UserOpt", "MkdirInfo", "MkfileInfo", "SymlinkInfo", "RmInfo", "CopyInfo")
    },
}
