"""Which capabilities an engine must have to solve an op, by BuildKit's names (solver/pb/caps.go).

Most follow from the op itself. A few depend on how the client was asked and stand in `Metadata.caps`: that a local
source's differ is required, that credentials of a git source were given on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, assert_never

from pybuild.llb.meta import NetMode, SecurityMode
from pybuild.llb.mounts import BindMount, CacheMount, ContentCache, SecretMount, SshMount, TmpfsMount
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, PassthroughOp, SourceOp
from pybuild.llb.vertex import Vertex

CONSTRAINTS: Final = "constraints"
PLATFORM: Final = "platform"
IGNORE_CACHE: Final = "meta.ignorecache"
DESCRIPTION: Final = "meta.description"
EXPORT_CACHE: Final = "meta.exportcache"
SETS_DEFAULT_PATH: Final = "exec.meta.setsdefaultpath"
LOCAL_DIFFER: Final = "source.local.differ"
GIT_HTTP_AUTH: Final = "source.git.httpauth"
HTTP: Final = "source.http"
HTTP_HEADER: Final = "source.http.header"
HTTP_SIGNATURE: Final = "source.http.signatureverify"

_SCHEMES: Final = {
    "docker-image": "source.image",
    "docker-image+blob": "source.imageblob",
    "oci-layout+blob": "source.imageblob",
    "oci-layout": "source.ocilayout",
    "local": "source.local",
    "git": "source.git",
    "http": "source.http",
    "https": "source.http",
}
_ATTRS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "source.image": {
        "image.layerlimit": ("source.image.layerlimit",),
        "image.checksum": ("source.image.checksum",),
    },
    "source.local": {
        "local.session": ("source.local.sessionid",),
        "local.unique": ("source.local.unique",),
        "local.includepattern": ("source.local.includepatterns",),
        "local.excludepatterns": ("source.local.excludepatterns",),
        "local.followpaths": ("source.local.followpaths",),
        "local.sharedkeyhint": ("source.local.sharedkeyhint",),
        "local.metadatatransfer": ("source.local.metadatatransfer",),
    },
    "source.git": {
        "git.keepgitdir": ("source.git.keepgitdir",),
        "git.fullurl": ("source.git.fullurl",),
        "git.mountsshsock": ("source.git.mountsshsock", "source.git.knownsshhosts"),
        "git.checksum": ("source.git.checksum",),
        "git.skipsubmodules": ("source.git.skipsubmodules",),
        "git.mtime": ("source.git.mtime",),
        "git.fetchbycommit": ("source.git.fetchbycommit",),
        "git.bundle": ("source.git.bundle",),
        "git.checkoutbundle": ("source.git.checkoutbundle",),
    },
    "source.http": {
        "http.checksum": ("source.http.checksum",),
        "http.perm": ("source.http.perm",),
        "http.uid": ("soruce.http.uidgid",),  # BuildKit's own spelling
        "http.gid": ("soruce.http.uidgid",),
        "http.authheadersecret": ("source.http.auth",),
    },
}
"""Capabilities by source and attribute."""


def caps_of(vertex: Vertex) -> set[str]:
    """The capabilities that `vertex` needs: those that follow from its op, and those of its metadata.

    Example:
        >>> sorted(caps_of(Vertex(SourceOp(identifier="https://example.com/f", attrs={"http.perm": "0644"}))))
        ['source.http', 'source.http.perm']
    """
    op = vertex.op
    match op:
        case SourceOp():
            found = set(_source(op))
        case ExecOp():
            found = set(_exec(op))
            if vertex.metadata.resources is not None:
                found.add("exec.meta.linux.resources")
        case FileOp():
            # Go's client looks for more over a list that is empty at that moment (client/llb/fileop.go, `Marshal`).
            found = {"file.base"}
        case MergeOp():
            found = {"mergeop"}
        case DiffOp():
            found = {"diffop"}
        case BuildOp():
            found = {"source.buildop.llbfilename"}
        case PassthroughOp():
            found = {"passthroughop"}
        case _:
            assert_never(op)
    found.update(vertex.metadata.caps)
    return found


def _source(op: SourceOp) -> Iterator[str]:
    base = _SCHEMES.get(op.scheme)
    if base is None:
        return
    yield base
    known = _ATTRS.get(base, {})
    for name, value in op.attrs:
        yield from known.get(name, ())
        if name == "image.resolvemode" and value == "pull":
            yield "source.image.resolvemode"  # only the mode that is about safety must be understood


def _exec(op: ExecOp) -> Iterator[str]:
    yield "exec.meta.base"
    meta = op.meta
    if meta.valid_exit_codes:
        yield "exec.validexitcode"
    if meta.ulimits:
        yield "exec.meta.ulimit"
    if op.network != NetMode.SANDBOX:
        yield "exec.meta.network"
    if op.security != SecurityMode.SANDBOX:
        yield "exec.meta.security"
    if meta.proxy_env is not None:
        yield "exec.meta.proxyenv"
    if op.cdi_devices:
        yield "exec.meta.cdi"
    if op.secret_env:
        yield from ("exec.mount.secret", "exec.secretenv")
    yield from _mounts(op)


def _mounts(op: ExecOp) -> Iterator[str]:
    for mount in op.mounts:
        if mount.selector:
            yield "exec.mount.selector"
        if mount.content_cache != ContentCache.DEFAULT:
            yield "exec.mount.cache.content"
        match mount:
            case BindMount():
                if mount.input >= 0:
                    yield "exec.mount.bind"
            case CacheMount():
                yield from ("exec.mount.cache", "exec.mount.cache.sharing")
            case TmpfsMount():
                yield "exec.mount.tmpfs"
                if mount.size > 0:
                    yield "exec.mount.tmpfs.size"
            case SecretMount():
                yield "exec.mount.secret"
            case SshMount():
                yield "exec.mount.ssh"
            case _:
                assert_never(mount)
