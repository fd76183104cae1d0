"""Users and groups by name, as /etc/passwd and /etc/group of a tree say, with BuildKit's fallbacks.

Two different sets of rules: a step's `USER` must exist (mirrors executor/oci/user.go and moby/sys/user), while an
unknown owner of a file action silently is root (mirrors solver/llbsolver/ops/user_linux.go).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from pybuild.errors import NotFound, StoreError
from pybuild.llb.files import Owner, UserName
from pybuild.store.tree import FileKind, LayeredTree

_MAX_ID: Final = (1 << 31) - 1
_MAX_FILE: Final = 10 << 20


class User(NamedTuple):
    """Whom a process runs as. `additional_gids` includes `gid`; `name` is "" when the user has no entry."""

    uid: int
    gid: int
    additional_gids: tuple[int, ...]
    home: str
    name: str


class _Passwd(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(tree: LayeredTree, spec: str) -> User:
    """The user that `spec` (`name`, `uid`, `name:group`, `uid:gid` ...; "" is root) means in `tree`.

    A number without an entry is itself, with group 0 and home `/`. Naming a group drops the supplementary ones.

    Raises:
        NotFound: a name without an entry.
        StoreError: a number out of range, or a user file that is no regular file or far too large.
    """
    users = list(_passwd(tree))
    name, uid, gid, groups = _ids(tree, users, spec)
    home = next((user.home for user in users if user.uid == uid), "")
    additional = groups if gid in groups else (gid, *groups)
    return User(uid, gid, additional, home or "/", name)


def _ids(tree: LayeredTree, users: list[_Passwd], spec: str) -> tuple[str, int, int, tuple[int, ...]]:
    numbers = _both_numbers(spec)
    if numbers is not None:
        name = next((user.name for user in users if user.uid == numbers[0]), "")
        return name, *numbers, ()
    user_part, _, group_part = (spec or "0").partition(":")
    group_part = group_part.partition(":")[0]
    uid = _number(user_part) if user_part else 0
    group_number = _number(group_part)
    found = next((user for user in users if (user.name == user_part if uid is None else user.uid == uid)), None)
    if found is None and uid is None:
        raise NotFound(f"unable to find user {user_part}: no matching entries in passwd file")
    name, gid = (found.name, found.gid) if found else ("", 0)
    uid = found.uid if found else uid or 0
    if not group_part:
        groups = tuple(group.gid for group in _groups(tree) if name in group.members) if name else ()
        return name, uid, gid, groups
    match = (group for group in _groups(tree) if _is_group(group, group_part, group_number))
    named = next(match, None)
    if named is None and group_number is None:
        raise NotFound(f"unable to find group {group_part}: no matching entries in group file")
    return name, uid, named.gid if named else group_number or 0, ()


def _is_group(group: _Group, name: str, number: int | None) -> bool:
    return group.name == name if number is None else group.gid == number


def _both_numbers(spec: str) -> tuple[int, int] | None:
    """`uid:gid` (or `root` for either) needs no file at all."""
    parts = spec.split(":", 1)
    if len(parts) != 2 or not all(part == "root" or re.fullmatch("[0-9]+", part) for part in parts):
        return None
    uid, gid = (0 if part == "root" else int(part) for part in parts)
    return (uid, gid) if max(uid, gid) < 1 << 32 else None


def _number(text: str) -> int | None:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return None
    number = int(text)
    if not 0 <= number <= _MAX_ID:
        raise StoreError(f'"{text}": uids and gids must be in range 0-{_MAX_ID}')
    return number


def resolve_owner(owner: Owner | None, tree_of: Callable[[int], LayeredTree]) -> tuple[int, int] | None:
    """The numbers of a file action's owner, or None for no change of owner.

    A name without an entry is 0; a user name brings its primary group, a user number the group of the same number,
    unless a group is given and found.

    Args:
        owner: what the action says.
        tree_of: gives the tree with a number as in `UserName.input`.

    Raises:
        StoreError: a name that is to be looked up in no tree.
    """
    if owner is None:
        return None
    uid = gid = 0
    match owner.user:
        case UserName(name=name, input=number):
            found = next((user for user in _passwd(_tree(tree_of, number)) if user.name == name), None)
            if found is not None:
                uid, gid = found.uid, found.gid
        case int(number):
            uid = gid = number
        case None:
            pass
    match owner.group:
        case UserName(name=name, input=number):
            gid = next((group.gid for group in _groups(_tree(tree_of, number)) if group.name == name), gid)
        case int(number):
            gid = number
        case None:
            pass
    return uid, gid


def _tree(tree_of: Callable[[int], LayeredTree], number: int) -> LayeredTree:
    if number < 0:
        raise StoreError(f"invalid user index: {number}")
    return tree_of(number)


def _passwd(tree: LayeredTree) -> Iterator[_Passwd]:
    for line in _lines(tree, "/etc/passwd"):
        name, _, uid, gid, _, home = (*line.split(":"), *("",) * 6)[:6]
        yield _Passwd(name, _lenient(uid), _lenient(gid), home)


def _groups(tree: LayeredTree) -> Iterator[_Group]:
    for line in _lines(tree, "/etc/group"):
        name, _, gid, members = (*line.split(":"), *("",) * 4)[:4]
        yield _Group(name, _lenient(gid), tuple(members.split(",")) if members else ())


def _lenient(text: str) -> int:
    """Upstream reads a malformed number as 0."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else 0


def _lines(tree: LayeredTree, path: str) -> Iterator[str]:
    entry = tree.lookup(path)
    if entry is None:
        return
    if entry.kind is not FileKind.FILE:
        raise StoreError(f'"{path}" is not a regular file')
    if entry.stat.st_size > _MAX_FILE:
        raise StoreError(f'"{path}" exceeds {_MAX_FILE} bytes')
    for line in tree.read_text(path).split("\n"):
        text = line.strip()
        if text:
            yield text
