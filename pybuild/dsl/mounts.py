"""Mounts as plain values: `bind`, `cache`, `secret`, `ssh` and `tmpfs`, used in `run(mounts=...)` and `.mount(...)`.

A value can be used for any number of steps. Which input and output numbers it gets is decided by
`llb.construct.exec_` when the step is made.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final, Literal

from pybuild._boundary import public
from pybuild.dsl import context
from pybuild.dsl.buildoptions import options
from pybuild.dsl.checks import check_variable, not_negative, permission_bits
from pybuild.dsl.mount import SSH_TARGET, Mount
from pybuild.dsl.paths import PathRef, checked, rooted
from pybuild.dsl.sizes import size_in_bytes
from pybuild.dsl.sourceedge import default_context
from pybuild.errors import ArgumentError
from pybuild.llb import construct, mounts
from pybuild.llb.files import MkdirAction, Owner
from pybuild.llb.meta import SecretEnv
from pybuild.llb.vertex import Edge
from pybuild.location import Location, capture

if TYPE_CHECKING:
    from pybuild.dsl.state import State

_SHARING: Final = {
    "shared": mounts.Sharing.SHARED,
    "private": mounts.Sharing.PRIVATE,
    "locked": mounts.Sharing.LOCKED,
}


@public
def bind(source: State | PathRef | str, target: str, *, readonly: bool = True, keep: bool = True) -> Mount:
    """Show a tree, or a part of it, inside a step.

    Args:
        source: a state, a path of one, or text for a path in the default local context.
        target: where the step sees it; relative to the working directory.
        readonly: False lets the step write; `.output(target)` is then the changed tree.
        keep: False drops what the step writes, as `RUN --mount=rw` of a Dockerfile does.

    Example:
        >>> from pybuild import bind, image, local
        >>> image("golang:1.24").run("go build ./...").mount(bind(local("."), "/src"))
        <ExecState go build ./...>
    """
    edge, selector = source_of(source)
    output = mounts.NO_OUTPUT if readonly or not keep else 0
    spec = mounts.BindMount(target=_target(target), selector=selector, readonly=readonly, output=output)
    return Mount(spec=spec, edge=edge, location=capture())


@public
def cache(
    target: str,
    *,
    id: str | None = None,  # noqa: A002  # the word of the field
    sharing: Literal["shared", "private", "locked"] = "shared",
    source: State | PathRef | None = None,
    uid: int | None = None,
    gid: int | None = None,
    mode: int | None = None,
    readonly: bool = False,
) -> Mount:
    """A directory that outlives the build, such as a package manager's downloads.

    Args:
        target: where the step sees it; relative to the working directory.
        id: which cache it is; the target by default. Dockerfiles on the same engine share caches by id.
        sharing: steps that run at the same time use it together, each get their own, or wait for each other.
        source: what a new cache starts with.
        uid: owner of a new cache's directory, 0 by default. Another owner or mode makes another cache.
        gid: its group, 0 by default.
        mode: its permission bits, 0o755 by default.
        readonly: whether the step may only read.

    Raises:
        ArgumentError: a path of a state as `source` together with an owner or mode.

    Example:
        >>> from pybuild import cache
        >>> cache("/root/.cache/go-build", sharing="locked")
        <Mount CacheMount /root/.cache/go-build>
    """
    location = capture()
    clean = _target(target)
    edge: Edge | None = None
    selector = ""
    if source is not None:
        edge, selector = source_of(source)
    if uid is not None or gid is not None or mode is not None:
        if selector:
            raise ArgumentError("cache(): uid, gid and mode describe an empty cache, but source is given")
        edge, selector = _owned_directory(edge, uid, gid, mode, location), "/cache"
    # A slash stands behind an empty namespace, too (frontend/dockerfile/dockerfile2llb).
    name = posixpath.normpath(target) if id is None else checked(id, "cache(): id")
    cache_id = f"{options().cache_namespace}/{name}"
    spec = mounts.CacheMount(
        target=clean, cache_id=cache_id, sharing=_SHARING[sharing], selector=selector, readonly=readonly
    )
    return Mount(spec=spec, edge=edge, location=location)


def _owned_directory(base: Edge | None, uid: int | None, gid: int | None, mode: int | None, location: Location) -> Edge:
    """BuildKit gives a cache an owner by letting it start from a directory that is made for it."""
    action = MkdirAction(
        path="/cache",
        mode=permission_bits(0o755 if mode is None else mode, "cache(): mode") & 0o777,
        owner=Owner(user=not_negative(uid or 0, "cache(): uid"), group=not_negative(gid or 0, "cache(): gid")),
    )
    metadata = context.metadata().named("[internal] setting cache mount permissions")
    return Edge(construct.file(base, [(action, None)], metadata=metadata, locations=[location]))


@public
def secret(
    id: str,  # noqa: A002  # the word of the field
    target: str | None = None,
    *,
    env: str | None = None,
    required: bool = True,
    uid: int = 0,
    gid: int = 0,
    mode: int = 0o400,
) -> Mount:
    """A secret as a read-only file, as an environment variable, or both; never part of the result or of a key.

    Args:
        id: which secret: the caller passes it with `--secret id=...`.
        target: the file; `/run/secrets/<id>` unless `env` is given.
        env: the environment variable. An empty text is one without a name: the step sees nothing of the secret.
        required: whether the step fails without it; otherwise the file is absent and the variable is empty.
        uid: owner of the file.
        gid: group of the file.
        mode: permission bits of the file.

    Example:
        >>> from pybuild import secret
        >>> secret("token", env="TOKEN")
        <Mount SecretEnv TOKEN>
    """
    checked(id, "secret(): id")
    if env:
        check_variable(env, "secret(): env")
    variable = None if env is None else SecretEnv(secret_id=id, name=env, optional=not required)
    spec = None
    if target is not None or env is None:
        spec = mounts.SecretMount(
            target=_target(f"/run/secrets/{posixpath.basename(id)}" if target is None else target),
            secret_id=id,
            uid=not_negative(uid, "secret(): uid"),
            gid=not_negative(gid, "secret(): gid"),
            mode=permission_bits(mode, "secret(): mode") & 0o777,
            optional=not required,
        )
    return Mount(spec=spec, secret_env=variable, location=capture())


@public
def ssh(
    id: str = "",  # noqa: A002  # the word of the field
    *,
    target: str | None = None,
    required: bool = True,
    uid: int = 0,
    gid: int = 0,
    mode: int = 0o600,
) -> Mount:
    """The socket of an ssh agent that the caller forwards; `SSH_AUTH_SOCK` points to the first one of a step.

    Args:
        id: which agent; the default one when empty.
        target: path of the socket.
        required: whether the step fails without it.
        uid: owner of the socket.
        gid: group of the socket.
        mode: permission bits of the socket.

    Example:
        >>> from pybuild import ssh
        >>> ssh(target="/agent")
        <Mount SshMount /agent>
    """
    spec = mounts.SshMount(
        target=SSH_TARGET if target is None else _target(target),
        agent_id=id,
        uid=not_negative(uid, "ssh(): uid"),
        gid=not_negative(gid, "ssh(): gid"),
        mode=permission_bits(mode, "ssh(): mode") & 0o777,
        optional=not required,
    )
    return Mount(spec=spec, location=capture())


@public
def tmpfs(target: str, *, size: int | str | None = None, readonly: bool = False) -> Mount:
    """An empty file system in memory.

    Args:
        target: where the step sees it.
        size: limit in bytes, or text such as `64m`; None leaves it to the kernel.
        readonly: whether the step may only read.

    Example:
        >>> from pybuild import tmpfs
        >>> tmpfs("/dev/shm", size="1g")
        <Mount TmpfsMount /dev/shm>
    """
    limit = 0 if size is None else size_in_bytes(size, "tmpfs(): size")
    spec = mounts.TmpfsMount(target=_target(target), size=limit, readonly=readonly)
    return Mount(spec=spec, location=capture())


def source_of(source: State | PathRef | str) -> tuple[Edge | None, str]:
    """The edge and the selector in it ("" for all) that a mount shows."""
    if isinstance(source, str):
        return default_context(), rooted(source).rstrip("/")
    if isinstance(source, PathRef):
        return source.edge, rooted(source.path).rstrip("/")
    return source.head, ""


def _target(text: str) -> str:
    checked(text, "the mount target")
    clean = posixpath.normpath(text)
    if rooted(clean) == "/" and clean.startswith(("/", "..")):
        raise ArgumentError(f'"{text}" cannot be a mount target', hint="it is the root file system of the step")
    # BuildKit cleans relative targets only.
    return text if text.startswith("/") and not text.startswith("//") else clean.replace("//", "/", 1)
