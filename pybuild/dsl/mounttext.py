"""A mount as one text, the way RUN of a Dockerfile writes it; for one whose type is known only when it is made."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from pybuild._boundary import public
from pybuild.dsl.mount import Mount
from pybuild.dsl.mounts import bind, cache, secret, ssh, tmpfs
from pybuild.dsl.paths import PathRef, rooted
from pybuild.errors import ArgumentError, InstructionError

if TYPE_CHECKING:
    from pybuild.dsl.state import State
    from pybuild.frontend.dockerfile.instructions import RunMount


@public
def mount(text: str, *, source: State | None = None) -> Mount:
    """A mount written as `--mount` of a RUN has it: `type=cache,target=/root/.cache`.

    The values of a mount whose kind is known are better given to `bind`, `cache`, `secret`, `ssh` or `tmpfs`.

    Args:
        text: the fields, with the meaning and the defaults of the Dockerfile reference.
        source: the tree that the mount shows, or starts with, in the place of a field `from`.

    Raises:
        ArgumentError: a field is unknown or wrong.

    Example:
        >>> from pybuild import image, mount
        >>> kind = "cache"
        >>> image("golang:1.24").run("go build").mount(mount(f"type={kind},target=/root/.cache"))
        <ExecState go build>
    """
    from pybuild.frontend.dockerfile.mounts import parse_mount

    try:
        read = parse_mount(text, lambda word: word)
    except InstructionError as error:
        raise ArgumentError(f'mount(): "{text}": {error.message}') from None
    if read.source_stage:
        raise ArgumentError(f'mount(): "{text}": from is not a field here', hint="give the state as source=...")
    return _made(read, text, source)


def _made(read: RunMount, text: str, source: State | None) -> Mount:
    if not read.target and read.type in ("bind", "cache", "tmpfs"):
        raise ArgumentError(f'mount(): "{text}" has no target', hint="add target=PATH")
    match read.type:
        case "cache":
            return _cache(read, source)
        case "secret":
            named = read.source or read.cache_id or posixpath.basename(read.target.rstrip("/"))
            mode = 0o400 if read.mode is None else read.mode
            owner = read.uid or 0, read.gid or 0
            target = read.target or None
            return secret(
                named, target, env=read.env, required=read.required, uid=owner[0], gid=owner[1], mode=mode & 0o777
            )
        case "ssh":
            mode = 0o600 if read.mode is None else read.mode
            target = read.target or None
            return ssh(
                read.cache_id,
                target=target,
                required=read.required,
                uid=read.uid or 0,
                gid=read.gid or 0,
                mode=mode & 0o777,
            )
        case "tmpfs":
            return tmpfs(read.target, size=read.size or None, readonly=read.readonly)
        case _:
            shown = (read.source or "/") if source is None else _part(source, read.source)
            return bind(shown, read.target, readonly=read.readonly, keep=read.readonly)


def _cache(read: RunMount, source: State | None) -> Mount:
    part = rooted(read.source) != "/"
    owner = {} if part else {"uid": read.uid, "gid": read.gid, "mode": read.mode}
    if part and source is None:
        from pybuild.dsl.sources import scratch

        source = scratch()
    return cache(
        read.target,
        id=read.cache_id or None,
        sharing=read.sharing or "shared",
        source=None if source is None else _part(source, read.source),
        readonly=read.readonly,
        **owner,
    )


def _part(tree: State, path: str) -> State | PathRef:
    return tree if rooted(path) == "/" else tree.path(rooted(path))
