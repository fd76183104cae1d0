"""Every seam of pybuild on one page: Protocols, and the values that cross them.

The definition side (frontend, dsl) and the execution side (store ... solver) meet only in `engine/`, through these.
Work that blocks on files is synchronous and thread-safe: planning a build must not need an event loop, and the
scheduler moves such calls to threads. What waits for processes is asynchronous: `Executor` and `Engine`.

Each Protocol has one conformance suite in tests/conformance, which every implementation must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from pybuild.digest import Digest
from pybuild.llb.meta import HostIP, NetMode, SecurityMode, Ulimit
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.oci.imageconfig import ImageConfig
from pybuild.platform import Platform
from pybuild.progress import LogStream as LogStream
from pybuild.progress import ProgressEvent as ProgressEvent
from pybuild.progress import StepFinished as StepFinished
from pybuild.progress import StepLog as StepLog
from pybuild.progress import StepStarted as StepStarted
from pybuild.progress import StepState as StepState
from pybuild.progress import StepStatus as StepStatus
from pybuild.progress import Warned as Warned
from pybuild.request import Attestation as Attestation
from pybuild.request import AttestSpec as AttestSpec
from pybuild.request import CacheSpec as CacheSpec
from pybuild.request import ExportResult as ExportResult
from pybuild.request import ImagePatch as ImagePatch
from pybuild.request import Invocation as Invocation
from pybuild.request import OutputSpec as OutputSpec
from pybuild.request import Plan as Plan
from pybuild.request import PlannedStep as PlannedStep
from pybuild.request import PlatformResult as PlatformResult
from pybuild.request import Ref as Ref
from pybuild.request import Shell as Shell
from pybuild.request import SolveRequest as SolveRequest
from pybuild.request import SolveResult as SolveResult
from pybuild.request import StepResult as StepResult
from pybuild.request import Variant as Variant
from pybuild.values import Value

if TYPE_CHECKING:
    from signal import Signals

# --------------------------------------------------------------------------------------------- content and snapshots


@attrs.frozen(kw_only=True)
class ContentInfo(Value):
    """A committed blob. `size` in bytes, `created` in seconds since the epoch."""

    digest: Digest
    size: int
    created: float


class BlobWriter(Protocol):
    """Takes the bytes of one blob; invisible to everyone until committed."""

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        ...

    def write(self, data: bytes | memoryview, /) -> int:
        """Append `data`; returns its length."""
        ...

    def commit(self) -> ContentInfo:
        """Make the blob visible. An equal blob that exists already is fine.

        Raises:
            DigestMismatch: the bytes are not what was expected.
        """
        ...


class ContentStore(Protocol):
    """Blobs by digest. A blob is complete and verified, or not there at all."""

    def info(self, digest: Digest) -> ContentInfo:
        """Size and age. Raises NotFound."""
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """A reader of the blob's bytes. Raises NotFound."""
        ...

    def read(self, digest: Digest) -> bytes:
        """All bytes of a small blob, verified against the digest. Raises NotFound, DigestMismatch."""
        ...

    def writer(self, *, digest: Digest | None = None, size: int | None = None) -> AbstractContextManager[BlobWriter]:
        """Write a blob; leaving the block without `commit` discards it.

        Args:
            digest: what it must turn out to be.
            size: how many bytes it must have.
        """
        ...

    def delete(self, digest: Digest) -> None:
        """Remove a blob. Raises NotFound."""
        ...

    def walk(self) -> Iterator[ContentInfo]:
        """All blobs."""
        ...


class SnapshotKind(StrEnum):
    """ACTIVE can be written, VIEW only be mounted, COMMITTED is immutable and can be a parent."""

    ACTIVE = "active"
    VIEW = "view"
    COMMITTED = "committed"


@attrs.frozen(kw_only=True)
class SnapshotInfo(Value):
    """One snapshot: its key, its parent's key ("" for none) and life-cycle state."""

    key: str
    parent: str
    kind: SnapshotKind
    created: float
    labels: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class Usage(Value):
    """Disk usage of a snapshot without its parents: bytes allocated, and number of inodes."""

    size: int
    inodes: int


@attrs.frozen(kw_only=True)
class MountSpec(Value):
    """A mount that somebody else performs: as in mount(8), `bind` and `overlay` among the types."""

    type: str
    source: str
    options: tuple[str, ...] = ()


@runtime_checkable
class Snapshotter(Protocol):
    """Layered file trees. Describes mounts, does not perform them.

    Life cycle: `prepare(key, parent)` gives an active snapshot; its tree is changed; `commit(name, key)` makes it
    immutable under `name` and removes `key`. A committed snapshot's files are never written again, so others may
    hold hard links to them.
    """

    name: str

    def stat(self, key: str) -> SnapshotInfo:
        """Facts about a snapshot. Raises NotFound."""
        ...

    def usage(self, key: str) -> Usage:
        """Its own disk usage. Raises NotFound."""
        ...

    def parents(self, key: str) -> tuple[str, ...]:
        """The keys of the chain that ends with `key`, bottom first; () for "". Raises NotFound."""
        ...

    def prepare(self, key: str, parent: str = "") -> tuple[MountSpec, ...]:
        """Start an active snapshot on `parent`. Raises AlreadyExists, NotFound (parent)."""
        ...

    def view(self, key: str, parent: str) -> tuple[MountSpec, ...]:
        """Start a read-only snapshot of `parent`. Raises AlreadyExists, NotFound (parent)."""
        ...

    def mounts(self, key: str) -> tuple[MountSpec, ...]:
        """How to mount an active snapshot, or a committed one read-only. Raises NotFound."""
        ...

    def commit(self, name: str, key: str) -> None:
        """Freeze active `key` as `name`. Raises AlreadyExists, NotFound."""
        ...

    def restack(self, name: str, parent: str, layer: str) -> None:
        """A new committed snapshot `name`: the own changes of committed `layer`, on another `parent`.

        Raises AlreadyExists, NotFound (parent, layer).
        """
        ...

    def remove(self, key: str) -> None:
        """Remove a snapshot that is nobody's parent. Raises NotFound, StoreError when it has children."""
        ...

    def walk(self) -> Iterator[SnapshotInfo]:
        """All snapshots, parents first."""
        ...

    def upper(self, key: str) -> Path:
        """The directory that holds the snapshot's own changes (whiteouts as the snapshotter writes them)."""
        ...

    def own(self, key: str) -> tuple[Path, ...]:
        """The directories whose overlay holds the snapshot's own changes, topmost first: `upper`, usually alone."""
        ...

    def lowers(self, key: str) -> tuple[Path, ...]:
        """The directories whose overlay is the snapshot's tree, topmost first, its own included."""
        ...


class Lease(Protocol):
    """Keeps what it refers to from being collected, for as long as its process lives and it is not released."""

    id: str

    def add(self, kind: Literal["content", "snapshot", "result"], key: str) -> None:
        """Hold one thing, which need not exist yet: first hold, then look whether it is there."""
        ...

    def hold_result(self, result_key: str) -> CacheRecord | None:
        """Hold a stored result with its snapshot; None when it is gone."""
        ...


class LeaseManager(Protocol):
    """Hands out leases."""

    def lease(self, *, ttl: timedelta | None = None) -> AbstractContextManager[Lease]:
        """A lease for the block; `ttl` bounds how long it outlives a crash (None: not at all)."""
        ...


# ------------------------------------------------------------------------------------------------- cache and results


@attrs.frozen(kw_only=True)
class CacheLink(Value):
    """How one input leads to a result: its key, its position, the op's digest, the output, the selector."""

    input_key: str
    input_index: int
    op_digest: str
    output: int
    selector: str = ""


@attrs.frozen(kw_only=True)
class CacheRecord(Value):
    """A stored result of one vertex output. `created`, `last_used` in seconds since the epoch, cost in seconds."""

    result_key: str
    ref: Ref
    description: str
    created: float
    last_used: float
    usage_count: int
    duration: float


class CacheStore(Protocol):
    """Finds results by what led to them (see docs/cache-keys.md)."""

    def query(self, link: CacheLink) -> Sequence[str]:
        """The result keys reachable over `link`."""
        ...

    def load(self, result_key: str) -> CacheRecord | None:
        """The stored result, if it is still there."""
        ...

    def save(self, record: CacheRecord, links: Sequence[CacheLink]) -> None:
        """Store a result and every link that leads to it, at once."""
        ...

    def add_links(self, result_key: str, links: Sequence[CacheLink]) -> None:
        """Make an existing result reachable over more links."""
        ...


# ------------------------------------------------------------------------------------------------------------ running


@attrs.frozen(kw_only=True)
class BoundMount(Value):
    """A mount of a step as the runtime performs it, parents before children.

    `type` is bind, tmpfs, overlay, proc ...; `source` a host path for bind.
    """

    target: str
    type: str
    source: str = ""
    options: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ProcessSpec(Value):
    """The process of a step. `uid`, `gid`, `additional_gids` are numbers already; `env` is in order."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    hostname: str = ""
    extra_hosts: tuple[HostIP, ...] = ()
    network: NetMode = NetMode.SANDBOX
    security: SecurityMode = SecurityMode.SANDBOX
    ulimits: tuple[Ulimit, ...] = ()
    memory: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    timeout_seconds: float = 0.0
    devices: tuple[str, ...] = ()
    terminal: bool = False
    """Whether it gets a terminal; needs a `Console` that is one."""


@attrs.define(kw_only=True, eq=False)
class Console:
    """What somebody who talks to a process gives it: descriptors of the process that runs the executor.

    `stdin` is -1 where there is nothing to read. A process with a terminal prints on `stdout`, which then is one too;
    every other one prints as all processes do. `send_signal` is there while the process runs, for whatever
    carries its terminal: SIGWINCH.
    """

    stdin: int = -1
    stdout: int = -1
    send_signal: Callable[[Signals], None] | None = None


class ProcessIO(Protocol):
    """Receives what the process prints."""

    def write(self, stream: LogStream, data: bytes) -> None:
        """Called with raw chunks, in order, from one thread."""
        ...


@attrs.frozen(kw_only=True)
class ExitStatus(Value):
    """How the process ended: its exit code, or 128 + signal.

    `timed_out`: stopped by its time limit. `started`: False when the command itself could not be.
    """

    code: int
    timed_out: bool = False
    started: bool = True


class Executor(Protocol):
    """Runs one process in a container. Fallible: an exit code other than 0 is a result, not an exception."""

    name: str

    async def run(
        self,
        container_id: str,
        rootfs: Path,
        mounts: Sequence[BoundMount],
        process: ProcessSpec,
        io: ProcessIO,
        console: Console | None = None,
    ) -> ExitStatus:
        """Run `process` with `rootfs` as its root.

        Args:
            container_id: unique among running containers.
            rootfs: a mounted, writable directory.
            mounts: what to mount inside, in order; /proc, /dev and the like are the executor's own business.
            process: what to run.
            io: receives the output, unless the process has a terminal.
            console: what the process is attached to; its input is empty without one.

        Raises:
            EngineUnavailable: the runtime itself does not work.
        """
        ...


# ------------------------------------------------------------------------------------------- sources, session, result


@attrs.frozen(kw_only=True)
class SourceMetadata(Value):
    """What is known of a source without fetching it: for images the pinned reference, digest and config.

    `document` is the config as the image has it.
    """

    identifier: str
    digest: Digest | None = None
    config: ImageConfig | None = None
    document: bytes = b""


class MetadataResolver(Protocol):
    """Looks sources up; implemented by engines, faked in tests."""

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """Look up a source vertex. Raises SourceFetchError."""
        ...


@runtime_checkable
class SourceDates(Protocol):
    """Says when sources were made; a MetadataResolver may be one as well."""

    def source_time(self, source: Edge) -> int | None:
        """When a git repository or download was made, in seconds since 1970; None when nothing says it.

        Raises SourceFetchError.
        """
        ...


class Session(Protocol):
    """What a client offers to a build, whatever the transport: local directories, secrets, credentials, agents."""

    def local_dir(self, name: str) -> Path:
        """The directory offered under `name`. Raises SourceFetchError when there is none."""
        ...

    def secret(self, secret_id: str) -> bytes | None:
        """The secret's bytes, or None when the client has none of that id."""
        ...

    def credentials(self, registry: str) -> tuple[str, str] | None:
        """User and password for a registry host, or None."""
        ...

    def ssh_socket(self, agent_id: str) -> Path | None:
        """The socket of an ssh agent, or None."""
        ...


InlineCache: TypeAlias = Callable[[Sequence[str]], bytes]
"""Makes the records of an inline cache, given the snapshots of an image's layers, bottom first."""


@attrs.frozen(kw_only=True)
class ExportInput(Value):
    """What an exporter gets: what was made for each platform, at least one, and what to do with it."""

    results: tuple[PlatformResult, ...]
    output: OutputSpec
    source_date_epoch: int | None = None
    base_images: tuple[str, ...] = ()
    """References of the images that the build used: their registries have their layers already."""
    inline_cache: InlineCache | None = None
    """What an image's config shall say of the build's steps."""


class Exporter(Protocol):
    """Turns a result into an artifact. `open_store` access is given at construction."""

    type: str

    def export(self, source: ExportInput, report: Callable[[str], None]) -> ExportResult:
        """Write the artifact; `report` takes one-line progress. Raises ExportError."""
        ...


# ----------------------------------------------------------------------------------------------------------- progress


class ProgressSink(Protocol):
    """Receives progress; must be cheap, thread-safe, and never raise."""

    def emit(self, event: ProgressEvent) -> None:
        """Take one event."""
        ...


# ------------------------------------------------------------------------------------------ engines, frontends, passes


@attrs.frozen(kw_only=True)
class EngineInfo(Value):
    """What an engine is and can do."""

    name: str
    version: str
    platforms: tuple[Platform, ...]
    capabilities: frozenset[str] = frozenset()
    details: tuple[tuple[str, str], ...] = ()


class Engine(Protocol):
    """Solves graphs."""

    name: str

    async def info(self) -> EngineInfo:
        """Workers, platforms, capabilities."""
        ...

    async def solve(self, request: SolveRequest, session: Session, sink: ProgressSink) -> SolveResult:
        """Build. Raises SolveError with the vertex's locations, EngineUnavailable."""
        ...

    def plan(self, request: SolveRequest, session: Session) -> Plan:
        """What `solve` would do, without running or starting anything."""
        ...

    async def aclose(self) -> None:
        """Release what the engine holds."""
        ...


@attrs.frozen(kw_only=True)
class PassContext(Value):
    """What a pass may know.

    `squash` is the range for the pass of that name (see passes/squash.py), "" for none. `record`, where somebody wants
    to know, takes what a pass did: in words, the vertices before, and those that stand for them afterwards.
    """

    platform: Platform
    resolver: MetadataResolver | None = None
    squash: str = ""
    record: Callable[[str, Sequence[Vertex], Sequence[Vertex]], None] | None = None


class Pass(Protocol):
    """A pure function from graph to graph; returns the same object when it changed nothing, and keeps locations."""

    __name__: str
    """The name used by `--passes`."""

    def __call__(self, graph: Graph, context: PassContext, /) -> Graph:
        """Rewrite `graph`."""
        ...


RpcHandler: TypeAlias = Callable[[Iterator[bytes], Mapping[str, Sequence[str]]], Iterator[bytes]]
"""Serves one call: takes the messages that come and the call's metadata, gives the messages to answer with.

It runs in a thread of its own. `Refused` is the answer to a request that cannot be served.
"""


class Refused(Exception):
    """A service does not do what it is asked. `code` is one of gRPC's names, such as `NOT_FOUND`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Attachable(Protocol):
    """A service that a client offers to a remote engine (file sync, authentication, secrets, ssh)."""

    service: str
    """Its full name, such as `moby.filesync.v1.FileSync`."""

    def methods(self) -> Mapping[str, RpcHandler]:
        """Handlers by method name."""
        ...
