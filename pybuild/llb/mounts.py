"""The five mount kinds of an exec step, as values. Mirrors `pb.Mount` (solver/pb/ops.proto).

A mount names its source by position: `input` is an index into the vertex's inputs, or NO_INPUT for an empty one.
`output` is the index under which the changed tree can be used by other vertices, or NO_OUTPUT. Both are assigned
once, by `construct.exec_`, after sorting by target; nothing renumbers them later.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from pybuild.llb.node import Node, node

NO_INPUT = -1
NO_OUTPUT = -1


class Sharing(IntEnum):
    """How concurrent steps use one cache directory: together, each its own, or one after the other."""

    SHARED = 0
    PRIVATE = 1
    LOCKED = 2


class ContentCache(IntEnum):
    """Whether the content of a mount may stand for its input in cache lookups."""

    DEFAULT = 0
    ON = 1
    OFF = 2


@node
class MountBase(Node):
    """What every mount has on the wire; most kinds leave most of it at its default.

    `input` and `selector` say what is shown, `output` under which index the result can be used. `result_id` is an id
    that a client gives to a mount's result (no client of today does).
    """

    target: str
    input: int = NO_INPUT
    selector: str = ""
    output: int = NO_OUTPUT
    readonly: bool = False
    content_cache: ContentCache = ContentCache.DEFAULT
    result_id: str = ""


@node
class BindMount(MountBase):
    """A tree from an input (`input`, `selector` in it) at `target`; the root file system is the one at `/`."""


@node
class CacheMount(MountBase):
    """A directory that outlives the build, found again by `cache_id` (and by the input it starts from, if any)."""

    cache_id: str
    sharing: Sharing = Sharing.SHARED


@node
class TmpfsMount(MountBase):
    """An empty memory file system; `size` in bytes, 0 for the kernel's default."""

    size: int = 0


@node
class SecretMount(MountBase):
    """A secret as a read-only file. `mode` in octal bits, `uid` and `gid` own the file.

    Its `output` is 0 because Go's client leaves the field alone; nothing can be used under it.
    """

    output: int = 0
    secret_id: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o400
    optional: bool = False


@node
class SshMount(MountBase):
    """The socket of a forwarded ssh agent. An empty `agent_id` is the default agent; `output` as of secrets."""

    output: int = 0
    agent_id: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0o600
    optional: bool = False


Mount: TypeAlias = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount
"""The closed set of mounts; match on it with `assert_never`."""
