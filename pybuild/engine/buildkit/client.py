"""A client of a BuildKit: builds, and everything else that its control API offers (api/services/control).

with connect("docker://") as client:
    client.build(frontend="dockerfile.v0", local_dirs={"context": ".", "dockerfile": "."},
                 exports=[Export("local", dest="out")], secrets={"token": b"..."})
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import attrs

from pybuild.engine.buildkit.address import Address, parse_address
from pybuild.engine.buildkit.build import Build, BuildFunction, CacheEntry, Request
from pybuild.engine.buildkit.channel import Channel
from pybuild.engine.buildkit.export import Export, targets_of
from pybuild.engine.buildkit.localcaches import name_written, stores
from pybuild.engine.buildkit.pb import control_pb2 as pb
from pybuild.engine.buildkit.services.auth import Auth
from pybuild.engine.buildkit.services.content import BlobDirectory, Content
from pybuild.engine.buildkit.services.filesend import FileSend
from pybuild.engine.buildkit.services.filesync import FileSync, LocalDir
from pybuild.engine.buildkit.services.secrets import Secrets
from pybuild.engine.buildkit.services.ssh import Ssh
from pybuild.engine.buildkit.session import ClientSession
from pybuild.engine.offered import place_key
from pybuild.llb.definition import Definition
from pybuild.platform import Platform
from pybuild.protocols import Attachable, Session

_CONTROL: Final = "/moby.buildkit.v1.Control/"


@attrs.frozen(kw_only=True)
class Worker:
    """A worker of an engine: what runs steps."""

    id: str
    labels: Mapping[str, str]
    platforms: tuple[Platform, ...]


@attrs.frozen(kw_only=True)
class CacheRecord:
    """Something that an engine keeps. Sizes in bytes, times in seconds since the epoch (0: never)."""

    id: str
    size: int
    description: str
    type: str
    in_use: bool
    shared: bool
    mutable: bool
    created: float
    last_used: float
    usage_count: int


class Client:
    """A connection to a BuildKit. Thread-safe.

    Args:
        address: where it is, as text (see `address`) or as an Address.

    Raises:
        EngineUnavailable: it cannot be reached.
    """

    def __init__(self, address: str | Address) -> None:
        self.address = parse_address(address) if isinstance(address, str) else address
        self.channel = Channel(self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.channel.close()

    # --------------------------------------------------------------------------------------------------- builds

    def build(
        self,
        definition: Definition | None = None,
        *,
        function: BuildFunction | None = None,
        frontend: str = "",
        options: Mapping[str, str] | None = None,
        inputs: Mapping[str, Definition] | None = None,
        local_dirs: Mapping[str, str | Path | LocalDir] | None = None,
        layouts: Mapping[str, str | Path] | None = None,
        secrets: Mapping[str, str | bytes | Path] | None = None,
        exports: Sequence[Export] = (),
        cache_imports: Sequence[CacheEntry] = (),
        cache_exports: Sequence[CacheEntry] = (),
        entitlements: Sequence[str] = (),
        session: Session | None = None,
        services: Sequence[Attachable] = (),
        shared_key: str | None = None,
        progress: Callable[[pb.StatusResponse], object] = lambda _status: None,
        cancelled: threading.Event | None = None,
    ) -> dict[str, str]:
        """Build, and wait for the end.

        Args:
            definition: what to solve, such as `State.definition()`; None with a frontend or a function.
            function: is called with the build's gateway, and returns what to export.
            frontend: one of the engine's, such as `dockerfile.v0`.
            options: of the frontend.
            inputs: definitions that the frontend may use, by name.
            local_dirs: directories that the build may read, by the names that `local://NAME` sources use.
            layouts: OCI image layouts, by the names of the stores that `oci-layout://` sources use.
            secrets: values by id: text, bytes, or the path of a file.
            exports: what to do with the result.
            cache_imports: caches to look into; a local one with the `digest` of its manifest, see `localcaches`.
            cache_exports: caches to write.
            entitlements: what steps may do that is not allowed by default.
            session: secrets, ssh agents and registry credentials that go beyond `secrets` and the user's own.
            services: what else is offered, such as `Uploads`.
            shared_key: names the copies of directories that the engine keeps, so that only changes are sent. None is
                for these very directories on this machine; name one when builds offer now these, now those.
            progress: is called with each message about progress, from one thread.
            cancelled: set it from another thread to give up.

        Returns:
            What the exporters say, such as `containerimage.digest`.

        Raises:
            SolveError: a step failed.
            EngineUnavailable: the engine is gone.
            ExportError: the result cannot be written here.
        """
        from pybuild.session.local import LocalSession

        directories = {name: _local_dir(value) for name, value in (local_dirs or {}).items()}
        offered = session or LocalSession(secrets=dict(secrets or {}))
        blobs = {f"oci:{name}": BlobDirectory(path=Path(path)) for name, path in (layouts or {}).items()}
        blobs |= stores(cache_imports, cache_exports)
        own_services = services_for(offered, directories, blobs)
        own_services += [*targets_of(exports), *services]
        if shared_key is None:
            shared_key = place_key(*(item.path for item in directories.values()))
        own = ClientSession(own_services, shared_key=shared_key)
        request = Request(
            definition=definition,
            frontend=frontend,
            options=options or {},
            inputs=inputs or {},
            exports=[export.wire(docker=self.address.docker) for export in exports if export.type != "cacheonly"],
            cache_imports=cache_imports,
            cache_exports=cache_exports,
            entitlements=entitlements,
        )
        answer = Build(self.channel, own, progress).run(request, function, cancelled)
        name_written(cache_exports, answer)
        return answer

    # -------------------------------------------------------------------------------------------- everything else

    def version(self) -> str:
        """The version that the engine gives itself, "" when it does not say. Raises CapabilityError."""
        return self.channel.call(f"{_CONTROL}Info", pb.InfoRequest(), pb.InfoResponse).buildkitVersion.version

    def workers(self, *filters: str) -> list[Worker]:
        """What runs steps; `filters` such as `labels."x"==y` choose among them."""
        answer = self.channel.call(
            f"{_CONTROL}ListWorkers", pb.ListWorkersRequest(filter=filters), pb.ListWorkersResponse
        )
        return [
            Worker(
                id=record.ID,
                labels=dict(record.Labels),
                platforms=tuple(
                    dict.fromkeys(Platform(item.OS, item.Architecture, item.Variant) for item in record.platforms)
                ),
            )
            for record in answer.record
        ]

    def disk_usage(self, *filters: str) -> list[CacheRecord]:
        """What the engine keeps."""
        answer = self.channel.call(f"{_CONTROL}DiskUsage", pb.DiskUsageRequest(filter=filters), pb.DiskUsageResponse)
        return [_record(item) for item in answer.record]

    def prune(
        self, *filters: str, everything: bool = False, keep_seconds: float = 0, keep_bytes: int = 0
    ) -> Iterator[CacheRecord]:
        """Remove what the engine keeps and does not use.

        Args:
            filters: choose among it, such as `type==regular`.
            everything: internal and shared records too.
            keep_seconds: keep what was used in this time.
            keep_bytes: keep this much.

        Yields:
            What was removed, as it goes.
        """
        request = pb.PruneRequest(
            filter=filters, all=everything, keepDuration=int(keep_seconds * 1e9), reservedSpace=keep_bytes
        )
        for item in self.channel.stream(f"{_CONTROL}Prune", request, pb.UsageRecord):
            yield _record(item)

    def history(self, ref: str = "", *, active_only: bool = False) -> list[pb.BuildHistoryRecord]:
        """The builds that the engine remembers, or the one of id `ref`."""
        request = pb.BuildHistoryRequest(Ref=ref, ActiveOnly=active_only, EarlyExit=True)
        events = self.channel.stream(f"{_CONTROL}ListenBuildHistory", request, pb.BuildHistoryEvent)
        return [event.record for event in events]

    def forget(self, ref: str) -> None:
        """Remove a build from the engine's history."""
        request = pb.UpdateBuildHistoryRequest(Ref=ref, Delete=True)
        self.channel.call(f"{_CONTROL}UpdateBuildHistory", request, pb.UpdateBuildHistoryResponse)


def connect(address: str | Address = "docker://") -> Client:
    """Connect to a BuildKit.

    Args:
        address: see `pybuild.engine.buildkit.address`; the Docker Engine of the environment by default.

    Raises:
        EngineUnavailable: it cannot be reached.

    Example:
        >>> with connect("docker://") as client:  # doctest: +SKIP
        ...     [str(platform) for platform in client.workers()[0].platforms]
        ['linux/amd64']
    """
    return Client(address)


def services_for(
    session: Session, directories: Mapping[str, LocalDir], blobs: Mapping[str, BlobDirectory]
) -> list[Attachable]:
    """The services that offer a session, directories, and the blobs of layouts and caches."""
    services: list[Attachable] = [
        FileSync(directories),
        Secrets(session.secret),
        Ssh(session.ssh_socket),
        Auth(session.credentials),
    ]
    if blobs:
        services.append(Content(blobs))
    return services


def _local_dir(value: str | Path | LocalDir) -> LocalDir:
    return value if isinstance(value, LocalDir) else LocalDir(path=Path(value))


def _record(item: pb.UsageRecord) -> CacheRecord:
    return CacheRecord(
        id=item.ID,
        size=item.Size,
        description=item.Description,
        type=item.RecordType,
        in_use=item.InUse,
        shared=item.Shared,
        mutable=item.Mutable,
        created=item.CreatedAt.ToNanoseconds() / 1e9,
        last_used=item.LastUsedAt.ToNanoseconds() / 1e9,
        usage_count=item.UsageCount,
    )


__all__ = ["CacheRecord", "Client", "FileSend", "Worker", "connect"]
