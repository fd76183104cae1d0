"""The seven op kinds of LLB, a closed union of values. Mirrors `pb.Op` (solver/pb/ops.proto).

An op says what to do with numbered inputs; which inputs these are is the vertex's business (`vertex.py`).
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from pybuild.llb.files import FileAction
from pybuild.llb.meta import CDIDevice, ExecMeta, NetMode, SecretEnv, SecurityMode
from pybuild.llb.mounts import Mount
from pybuild.llb.node import Node, Pairs, node, sorted_pairs


@node
class SourceOp(Node):
    """Brings content in from outside; `identifier` is `<scheme>://<reference>`, `attrs` its options by wire name."""

    identifier: str
    attrs: Pairs = attrs.field(default=(), converter=sorted_pairs)

    @property
    def scheme(self) -> str:
        """The part before `://`: docker-image, oci-layout, local, git, http or https."""
        return self.identifier.partition("://")[0]

    @property
    def reference(self) -> str:
        """The part after `://`."""
        return self.identifier.partition("://")[2]


@node
class ExecOp(Node):
    """Runs a process. `mounts` are sorted by target with secrets and ssh last; the root file system comes first."""

    meta: ExecMeta
    mounts: tuple[Mount, ...]
    network: NetMode = NetMode.SANDBOX
    security: SecurityMode = SecurityMode.SANDBOX
    secret_env: tuple[SecretEnv, ...] = ()
    cdi_devices: tuple[CDIDevice, ...] = ()


@node
class FileOp(Node):
    """Changes a tree without running a process: a list of actions, applied in order."""

    actions: tuple[FileAction, ...]


@node
class MergeOp(Node):
    """Lays trees over each other; of two entries at one path the later one wins. `inputs` are input indexes."""

    inputs: tuple[int, ...]


@node
class DiffOp(Node):
    """What `upper` adds to, changes in and removes from `lower`; -1 is the empty tree."""

    lower: int
    upper: int


@node
class BuildOp(Node):
    """Solves another definition, read from input `builder` (-1: the definition embedded here)."""

    builder: int
    inputs: tuple[tuple[str, int], ...] = ()
    definition: bytes | None = None
    attrs: Pairs = attrs.field(default=(), converter=sorted_pairs)


@node
class PassthroughOp(Node):
    """Hands inputs through unchanged so that they are solved together; `outputs` are input indexes."""

    id: str = ""
    outputs: tuple[int, ...] = ()


Op: TypeAlias = SourceOp | ExecOp | FileOp | MergeOp | DiffOp | BuildOp | PassthroughOp
"""The closed set of ops; match on it with `assert_never`."""
