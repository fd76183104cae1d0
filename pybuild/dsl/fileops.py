"""Lowering of `copy`, `mkdir`, `write`, `symlink` and `remove` to file actions.

The flags of a copy are those that the Dockerfile frontend sets for COPY (frontend/dockerfile/dockerfile2llb), so that
equal copies share one cache whichever way they were written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pybuild.dsl import context
from pybuild.dsl.checks import permission_bits
from pybuild.dsl.paths import checked, destination, join, rooted
from pybuild.errors import ArgumentError
from pybuild.llb import construct
from pybuild.llb.files import (
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
from pybuild.llb.vertex import Edge
from pybuild.location import Location

_OCTAL = re.compile(r"[0-7]{1,5}")
_SYMBOLIC = re.compile(r"[ugoa]*[-+=][rwxXstugo]*(?:[-+=][rwxXstugo]*)*")
_SECOND = 1_000_000_000  # nanoseconds
_WILDCARDS = frozenset("*?[\\")


def vertex(base: Edge | None, actions: Sequence[tuple[FileAction, Edge | None]], location: Location) -> Edge:
    """One file vertex with all `actions` on `base`."""
    made = construct.file(base, actions, metadata=context.metadata(), locations=[location])
    return Edge(made)


def copies(
    sources: Sequence[str],
    dest: str,
    workdir: str | None,
    *,
    owner: str | None,
    mode: int | str | None,
    include: Sequence[str],
    exclude: Sequence[str],
    parents: bool,
    follow_links: bool,
    unpack: bool,
) -> list[CopyAction]:
    """One copy action per source, all with the same options.

    Raises:
        ArgumentError: no source, or an owner or mode that cannot be.
    """
    if not sources:
        raise ArgumentError("copy(): there is nothing to copy", hint="name at least one path")
    bits, symbolic = copy_mode(mode)
    whom = parse_owner(owner)
    where = destination(workdir, dest)
    made: list[CopyAction] = []
    for source in sources:
        root, patterns, required = _with_parents(source) if parents else (rooted(source), (), ())
        made.append(
            CopyAction(
                source=root,
                dest=where,
                owner=whom,
                mode=bits,
                mode_str=symbolic,
                follow_symlink=follow_links,
                dir_copy_contents=True,
                attempt_unpack=unpack,
                create_dest_path=True,
                allow_wildcard=True,
                allow_empty_wildcard=True,
                include_patterns=(*patterns, *include),
                exclude_patterns=tuple(exclude),
                required_paths=required,
            )
        )
    return made


def _with_parents(source: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Root, include pattern and required path of a source whose parent directories are kept.

    As COPY --parents: a `/./` in the path marks where the kept part begins; wildcards may match nothing.
    """
    front, mark, rest = source.removeprefix("./").partition("/./")
    root, pattern = (rooted(front), rest) if mark else ("/", front)
    pattern = rooted(pattern)[1:]
    if not pattern:
        return root, (), ()
    wild = any(character in _WILDCARDS for character in pattern)
    return root, (pattern,), () if wild else (rooted(pattern, root),)


def make_directory(path: str, workdir: str | None, *, mode: int, parents: bool, owner: str | None) -> MkdirAction:
    """The action of `State.mkdir`."""
    return MkdirAction(
        path=join(workdir, checked(path, "mkdir(): path")),
        mode=permission_bits(mode, "mkdir(): mode") & 0o777,
        make_parents=parents,
        owner=parse_owner(owner),
    )


def make_workdir(directory: str, user: str | None, epoch: object) -> MkdirAction:
    """The action of `State.workdir` with `create`: for `user` ("" root, None the image's); as old as the build."""
    return MkdirAction(
        path=join(None, directory),
        mode=0o755,
        make_parents=True,
        owner=parse_owner(user or None),
        inherit_owner=user is None,
        timestamp=epoch * _SECOND if isinstance(epoch, int) else UNSET_TIME,
    )


def make_file(path: str, data: str | bytes, workdir: str | None, *, mode: int, owner: str | None) -> MkfileAction:
    """The action of `State.write`."""
    if checked(path, "write(): path").endswith("/"):
        raise ArgumentError(f'write(): "{path}" is a directory, not a file')
    try:
        content = data.encode() if isinstance(data, str) else data
    except UnicodeEncodeError as error:
        raise ArgumentError(f"write(): the text cannot be encoded as UTF-8: {error.reason}") from None
    return MkfileAction(
        path=join(workdir, path),
        data=content,
        mode=permission_bits(mode, "write(): mode") & 0o777,
        owner=parse_owner(owner),
    )


def make_link(target: str, path: str, workdir: str | None) -> SymlinkAction:
    """The action of `State.symlink`. The link's text stays as written."""
    return SymlinkAction(
        old_path=checked(target, "symlink(): target"), new_path=join(workdir, checked(path, "symlink(): path"))
    )


def removal(path: str, workdir: str | None, *, missing_ok: bool, wildcard: bool) -> RmAction:
    """The action of `State.remove`.

    Raises:
        ArgumentError: it would remove the root directory.
    """
    where = join(workdir, checked(path, "remove(): path"))
    if where == "/":
        raise ArgumentError('remove(): the root directory "/" cannot be removed', hint="start from scratch() instead")
    return RmAction(path=where, allow_not_found=missing_ok, allow_wildcard=wildcard)


def parse_owner(text: str | None) -> Owner | None:
    """An owner as in `--chown`: `user`, `user:group`, `:group`, by name or number.

    Raises:
        ArgumentError: empty, or more than one colon.

    Example:
        >>> parse_owner("app:1000")
        Owner(user=UserName(name='app', input=-1), group=1000)
    """
    if text is None:
        return None
    user, colon, group = text.partition(":")
    if not (user or group) or ":" in group:
        raise ArgumentError(f'owner "{text}" is not of the form user[:group]')
    return Owner(user=_principal(user), group=_principal(group) if colon else None)


def _principal(text: str) -> UserName | int:
    if text in ("", "root"):
        return 0
    return int(text) if text.isascii() and text.isdigit() else UserName(name=text)


def copy_mode(mode: int | str | None) -> tuple[int, str]:
    """The mode of a copy as (bits, symbolic text); bits are -1 when the source's are kept.

    Example:
        >>> copy_mode(None), copy_mode("0755"), copy_mode("u+x")
        ((-1, ''), (493, ''), (0, 'u+x'))
    """
    if mode is None:
        return UNSET_MODE, ""
    if isinstance(mode, int):
        return permission_bits(mode, "copy(): mode"), ""
    if _OCTAL.fullmatch(mode):
        return permission_bits(int(mode, 8), "copy(): mode"), ""
    if all(_SYMBOLIC.fullmatch(clause) for clause in mode.split(",")):
        return 0, mode
    raise ArgumentError(
        f'copy(): mode "{mode}" is neither octal nor symbolic', hint='write 0o755, "755" or "u=rwX,go=rX"'
    )
