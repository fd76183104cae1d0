"""The actions of a file operation, as values. Mirrors `pb.FileAction` (solver/pb/ops.proto).

`input` and `secondary_input` number what an action works on as the wire does: -1 for scratch, 0..n-1 for the
vertex's n inputs, n+i for the result of action i. `output` is 0 on the action whose result is the vertex's, -1 on
the others. `construct.file` assigns all three.
"""

from __future__ import annotations

from typing import TypeAlias

from pybuild.llb.node import Node, node

SCRATCH = -1
UNSET_MODE = -1
UNSET_TIME = -1


@node
class UserName(Node):
    """A user or group name, looked up in /etc/passwd or /etc/group of the input numbered `input` (-1: none)."""

    name: str
    input: int = SCRATCH


@node
class Owner(Node):
    """Whom a file shall belong to: a number, or a name to look up. None leaves that half to the default."""

    user: UserName | int | None = None
    group: UserName | int | None = None


@node
class CopyAction(Node):
    """Copy `source` of the secondary input to `dest` in the input.

    `mode` -1 keeps the source's; `mode_str` is a symbolic mode (`u+x`) and wins over `mode`. `timestamp` in
    nanoseconds since the epoch, -1 keeps the source's.
    """

    source: str
    dest: str
    input: int = SCRATCH
    secondary_input: int = SCRATCH
    output: int = -1
    owner: Owner | None = None
    mode: int = UNSET_MODE
    mode_str: str = ""
    follow_symlink: bool = False
    dir_copy_contents: bool = False
    attempt_unpack: bool = False
    create_dest_path: bool = False
    allow_wildcard: bool = False
    allow_empty_wildcard: bool = False
    timestamp: int = UNSET_TIME
    include_patterns: tuple[str, ...] = ()
    exclude_patterns: tuple[str, ...] = ()
    always_replace_existing_dest_paths: bool = False
    required_paths: tuple[str, ...] = ()


@node
class MkfileAction(Node):
    """Write `data` to `path`, replacing what is there; `mode` are the permission bits."""

    path: str
    data: bytes
    mode: int = 0o644
    input: int = SCRATCH
    output: int = -1
    owner: Owner | None = None
    timestamp: int = UNSET_TIME


@node
class MkdirAction(Node):
    """Create the directory `path`; with `make_parents` also its parents, and an existing one is no error.

    `inherit_owner`: it shall belong to the user of the image that is below; the pass `resolve` looks that up.
    """

    path: str
    mode: int = 0o755
    make_parents: bool = False
    input: int = SCRATCH
    output: int = -1
    owner: Owner | None = None
    timestamp: int = UNSET_TIME
    inherit_owner: bool = False


@node
class RmAction(Node):
    """Remove `path` and all below it."""

    path: str
    allow_not_found: bool = False
    allow_wildcard: bool = False
    input: int = SCRATCH
    output: int = -1


@node
class SymlinkAction(Node):
    """Create the symbolic link `new_path` that holds the text `old_path`."""

    old_path: str
    new_path: str
    input: int = SCRATCH
    output: int = -1
    owner: Owner | None = None
    timestamp: int = UNSET_TIME


FileAction: TypeAlias = CopyAction | MkfileAction | MkdirAction | RmAction | SymlinkAction
"""The closed set of file actions; match on it with `assert_never`."""


def action_words(action: FileAction) -> str:
    """What a history says of an action.

    Example:
        >>> action_words(MkdirAction(path="/srv"))
        'MKDIR /srv'
    """
    match action:
        case CopyAction():
            return f"COPY {action.source} {action.dest}"
        case MkfileAction():
            return f"WRITE {action.path}"
        case MkdirAction():
            return f"MKDIR {action.path}"
        case SymlinkAction():
            return f"SYMLINK {action.old_path} {action.new_path}"
        case RmAction():
            return f"REMOVE {action.path}"
