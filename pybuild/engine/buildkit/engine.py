"""The BuildKit engine: solves graphs on a BuildKit elsewhere, as the embedded engine does here.

The client is the frontend of its own build: through the gateway it looks images up, so that steps inherit what they
inherit on the embedded engine, solves the definition, and returns the result with its image config for export.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.digest import Digest
from pybuild.engine.entitlements import check_allowed
from pybuild.engine.imageresult import has_whole_history, result_config
from pybuild.engine.layerhistory import history_of_layers
from pybuild.engine.platforms import fitted
from pybuild.errors import CapabilityError, EngineUnavailable, ExecError, PybuildError, SecretNotFound, SolveError
from pybuild.llb.ops import ExecOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.oci.imageconfig import ImageConfig, dump_image_config
from pybuild.protocols import (
    CacheSpec,
    EngineInfo,
    ExportResult,
    Plan,
    ProgressSink,
    Ref,
    Session,
    SolveRequest,
    SolveResult,
    Variant,
)
from pybuild.shown import Shown
from pybuild.temporary import TemporaryFolder

if TYPE_CHECKING:
    from pybuild.engine.buildkit.address import Address
    from pybuild.engine.buildkit.build import CacheEntry
    from pybuild.engine.buildkit.client import Client
    from pybuild.engine.buildkit.export import Export
    from pybuild.engine.buildkit.gateway import Gateway, Result
    from pybuild.engine.buildkit.progress import Progress
    from pybuild.engine.buildkit.services.filesync import LocalDir
    from pybuild.engine.buildkit.sources import GatewayResolver
    from pybuild.engine.offered import Offered
    from pybuild.llb.vertex import Edge

_DESCRIPTOR: Final = "containerimage.descriptor"
_EXTRA: Final = ("grpc", "google", "h2")


class BuildKitEngine(Shown):
    """Solves graphs on a BuildKit.

    Args:
        address: where it is; see `pybuild.engine.buildkit.address`. Nothing is connected before it is needed.
    """

    name = "buildkit"

    def __init__(self, address: str | Address = "docker://") -> None:
        self._given = address
        self._client: Client | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<BuildKitEngine {self._given}>"

    @property
    def client(self) -> Client:
        """The connection, made when first asked for. Raises EngineUnavailable."""
        with self._lock:
            if self._client is None:
                try:
                    from pybuild.engine.buildkit.client import Client
                except ModuleNotFoundError as error:
                    if (error.name or "").partition(".")[0] not in _EXTRA:
                        raise
                    raise EngineUnavailable(
                        "the BuildKit engine needs grpcio, protobuf and h2", hint='install "pybuild[buildkit]"'
                    ) from None
                self._client = Client(self._given)
            return self._client

    async def info(self) -> EngineInfo:
        """See protocols.Engine."""
        import asyncio

        return await asyncio.to_thread(self.describe)

    def describe(self) -> EngineInfo:
        """What `info` says, for programs without an event loop. Raises EngineUnavailable."""
        workers = self.client.workers()
        try:
            version = self.client.version()
        except CapabilityError:
            version = ""
        platforms = tuple(dict.fromkeys(platform for worker in workers for platform in worker.platforms))
        details = [("address", str(self.client.address))]
        details += [(f"worker {worker.id}", json.dumps(dict(worker.labels), sort_keys=True)) for worker in workers]
        return EngineInfo(name=self.name, version=version, platforms=platforms, details=tuple(details))

    async def aclose(self) -> None:
        """See protocols.Engine."""
        self.close()

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def plan(self, request: SolveRequest, session: Session) -> Plan:
        """See protocols.Engine. Raises CapabilityError: only solving tells what a BuildKit has cached."""
        del request, session
        raise CapabilityError(
            "a BuildKit does not say in advance what is cached", hint="plan on the embedded engine: --engine embedded"
        )

    async def solve(self, request: SolveRequest, session: Session, sink: ProgressSink) -> SolveResult:
        """See protocols.Engine."""
        from pybuild.engine.threaded import solve_in_thread

        return await solve_in_thread(self.run, request, session, sink)

    def run(
        self,
        request: SolveRequest,
        session: Session,
        sink: ProgressSink,
        cancelled: threading.Event | None = None,
    ) -> SolveResult:
        """Build, blocking the calling thread.

        Args:
            request: what to build.
            session: what the client offers.
            sink: receives progress.
            cancelled: set it from another thread to stop the build.

        Raises:
            SolveError: a step failed; the vertex's locations are attached.
            EngineUnavailable: the engine is not there, or went away.
            NotAllowed: a step wants more than a sandbox.
        """
        check_allowed(request.graph, request.allow)
        return _Job(self.client, request, session, sink).run(cancelled)


class _Job:
    """One request on its way through an engine."""

    def __init__(self, client: Client, request: SolveRequest, session: Session, sink: ProgressSink) -> None:
        from pybuild.engine.buildkit.progress import Progress
        from pybuild.engine.offered import offered, with_keys

        self._client = client
        self._request = request
        self._session = session
        self._progress: Progress = Progress(sink)
        self._offered: Offered = offered(_without_cache(request.graph, request.no_cache), session)
        self._graph = with_keys(self._offered.graph, self._offered.directories)
        self._links = Path()
        self._configs: list[ImageConfig] = []
        self._origin: dict[Digest, tuple[Vertex, ...]] = {}
        self._imports: Sequence[CacheEntry] = ()

    def run(self, cancelled: threading.Event | None) -> SolveResult:
        with TemporaryFolder() as links:
            self._links = Path(links)
            return self._run(cancelled)

    def _run(self, cancelled: threading.Event | None) -> SolveResult:
        started = time.time()
        from pybuild.engine.buildkit.capabilities import LINKS, attest_options
        from pybuild.engine.buildkit.localcaches import resolved
        from pybuild.engine.offered import place_key

        self._imports = resolved(_caches(self._request.cache_from), self._progress.warn)

        exports = [_export(self._request, number) for number in range(len(self._request.outputs))]
        missing: set[str] = set()
        try:
            answer = self._client.build(
                function=self._solve,
                options=attest_options(self._request.attests),
                local_dirs={**_without_ignored(self._offered.directories), LINKS: self._links},
                layouts=self._offered.layouts,
                session=_Noting(self._session, missing),
                shared_key=place_key(),  # sources say where they are
                exports=exports,
                cache_imports=self._imports,
                cache_exports=_caches(self._request.cache_to),
                entitlements=self._request.allow,
                progress=self._progress.take,
                cancelled=cancelled,
            )
        except SolveError as error:
            raise self._explained(error, missing) from None
        self._progress.finish()
        return SolveResult(
            ref=Ref(snapshot=""),
            config=self._configs[0],
            steps=self._progress.results(self._graph, self._origin),
            exports=_results(exports, answer),
            duration=time.time() - started,
            graph=self._graph,
        )

    def _solve(self, gateway: Gateway) -> Result:
        """The frontend's work."""
        from pybuild.engine.buildkit.capabilities import check, with_links_copied, without_extras
        from pybuild.engine.buildkit.gateway import refs_of
        from pybuild.engine.buildkit.returned import result_of
        from pybuild.engine.buildkit.sources import GatewayResolver
        from pybuild.engine.buildkit.substitutes import substituted
        from pybuild.llb.marshal import MarshalOptions, marshal

        request = self._request
        resolver = GatewayResolver(gateway, self._session)
        self._graph = fitted(request, resolver, self._graph)
        self._configs = [
            _config(head, written, variant, resolver)
            for head, written, variant in zip(self._graph.heads, request.graph.heads, request.variants, strict=True)
        ]
        known = gateway.llb_capabilities
        self._graph = substituted(self._graph, known, self._progress.warn)
        self._graph = without_extras(self._graph, known, self._progress.warn)
        self._graph = with_links_copied(self._graph, known, self._links, self._progress.warn)
        check(self._graph, known)
        if any(vertex.metadata.caching is not None for vertex in self._graph.vertices):
            self._progress.warn("ttl() and key() are for the embedded engine: a BuildKit does not know them")
        imports = [(entry.type, entry.attrs) for entry in self._imports]
        refs: list[str] = []
        for head, variant in zip(self._graph.heads, request.variants, strict=True):
            options = MarshalOptions(platform=variant.platform, caps=known or None, local_unique=gateway.session_id)
            definition = marshal(head, options)
            self._origin.update(definition.origin)
            self._progress.know(definition.origin)
            solved = refs_of(gateway.solve(definition, cache_imports=imports)) if head is not None else {"": ""}
            refs.append(solved[""])
        return result_of(request.variants, refs, [dump_image_config(config) for config in self._configs])

    def _explained(self, error: SolveError, missing: set[str]) -> PybuildError:
        """The error with what the client knows of its step: its places, name and output."""
        wire = error.vertex
        vertex = self._progress.vertex(wire)
        if vertex is None:
            return error
        made: SolveError = error
        if isinstance(error, ExecError):
            log = self._progress.log(wire)
            made = ExecError(error.argv, error.exit_code_of_step, log=log, hint=error.hint)
        else:
            absent = missing & _secrets_of(vertex)
            if absent:
                made = SecretNotFound(min(absent))
        made.vertex, made.vertex_name = vertex.digest, vertex.name
        made.locations = ()
        return made.at(vertex.locations)


def _config(head: Edge | None, written: Edge | None, variant: Variant, resolver: GatewayResolver) -> ImageConfig:
    """The image config of one head of the graph, its history complete."""
    config = result_config(head, written, variant.patch, variant.platform, resolver)
    if not has_whole_history(written, variant.patch):
        layers = history_of_layers(head)
        config = attrs.evolve(config, history=(*(config.history if layers.inherited else ()), *layers.entries))
    return attrs.evolve(config, created="")


def _without_ignored(directories: Mapping[str, Path]) -> dict[str, LocalDir]:
    """The directories without what their ignore files exclude."""
    from pybuild.engine.buildkit.services.filesync import LocalDir
    from pybuild.source.ignorefile import read_ignore_file

    return {name: LocalDir(path=path, exclude=tuple(read_ignore_file(path))) for name, path in directories.items()}


class _Noting:
    """A session that notes which secrets were asked for in vain."""

    def __init__(self, session: Session, missing: set[str]) -> None:
        self._session = session
        self._missing = missing
        self.local_dir = session.local_dir
        self.credentials = session.credentials
        self.ssh_socket = session.ssh_socket

    def secret(self, secret_id: str) -> bytes | None:
        """See protocols.Session."""
        found = self._session.secret(secret_id)
        if found is None:
            self._missing.add(secret_id)
        return found


def _secrets_of(vertex: Vertex) -> set[str]:
    from pybuild.llb.mounts import SecretMount

    op = vertex.op
    if not isinstance(op, ExecOp):
        return set()
    mounted = {mount.secret_id for mount in op.mounts if isinstance(mount, SecretMount)}
    return mounted | {secret.secret_id for secret in op.secret_env}


def _without_cache(graph: Graph, no_cache: tuple[str, ...]) -> Graph:
    """The graph in which the steps that must run say so."""
    from pybuild.llb.ops import SourceOp
    from pybuild.solver.state import is_excluded

    if not no_cache:
        return graph

    def change(vertex: Vertex) -> Vertex:
        if isinstance(vertex.op, SourceOp) or not is_excluded(vertex, no_cache):
            return vertex
        return vertex.replace(metadata=vertex.metadata.replace(ignore_cache=True))

    return rewrite(graph, change)


def _caches(specs: Sequence[CacheSpec]) -> list[CacheEntry]:
    from pybuild.engine.buildkit.build import CacheEntry

    return [CacheEntry(type=spec.type, attrs=dict(spec.attrs)) for spec in specs]


def _export(request: SolveRequest, number: int) -> Export:
    from pybuild.engine.buildkit.export import Export

    output = request.outputs[number]
    given = dict(output.attrs)
    if request.source_date_epoch is not None:
        given.setdefault("source-date-epoch", str(request.source_date_epoch))
    return Export(output.type, output.dest, given)


def _results(exports: Sequence[Export], answer: Mapping[str, str]) -> tuple[ExportResult, ...]:
    """What exporters said, by the keys of buildx's metadata file."""
    facts = tuple(sorted((name, _fact(name, value)) for name, value in answer.items()))
    return tuple(
        ExportResult(type=export.type, path=str(export.dest), metadata=() if export.type in ("local", "tar") else facts)
        for export in exports
    )


def _fact(name: str, value: str) -> object:
    if name != _DESCRIPTOR:
        return Digest(value) if value.startswith("sha256:") else value
    try:
        return json.loads(base64.b64decode(value))
    except (binascii.Error, ValueError):
        return value


__all__ = ["BuildKitEngine"]
