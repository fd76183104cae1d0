"""The gateway of a running build: what a frontend may ask of an engine (frontend/gateway/pb/gateway.proto).

The client of the build is its frontend here: it looks sources up, solves definitions, reads files of results, and
returns what shall be exported, all over the connection to the engine and marked with the build's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from pybuild.engine.buildkit.pb import gateway_pb2 as pb
from pybuild.engine.buildkit.pb.ops_pb2 import Definition as WireDefinition
from pybuild.engine.buildkit.pb.ops_pb2 import Platform as WirePlatform
from pybuild.engine.buildkit.pb.ops_pb2 import SourceOp as WireSource
from pybuild.engine.buildkit.pb.stat_pb2 import Stat
from pybuild.llb.definition import Definition
from pybuild.platform import Platform

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pybuild.engine.buildkit.channel import Call, Channel
    from pybuild.engine.buildkit.pb.caps_pb2 import APICap

M = TypeVar("M", bound="Message")

_SERVICE: Final = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD_ID: Final = "buildkit-controlapi-buildid"
_OLDEST: Final = frozenset({"solve.base", "solve.inlinereturn", "resolveimage", "readfile"})
"""What engines can do that do not say what they can do (grpcclient/client.go, `defaultCaps`)."""


@attrs.frozen(kw_only=True)
class ImageMeta:
    """What an engine knows of an image: the name it found it by, its digest, and its config document."""

    reference: str
    digest: str
    config: bytes


@attrs.frozen(kw_only=True)
class Result:
    """What a build returns for export.

    Args:
        refs: results of `solve`, "" for an empty file system; by the id of their platform, or by "" when there is one.
        metadata: facts for the exporters, such as `containerimage.config`.
    """

    refs: Mapping[str, str]
    metadata: Mapping[str, bytes] = attrs.field(factory=dict[str, bytes])


class Gateway:
    """See the module.

    Args:
        channel: the connection to the engine.
        build_id: the build's id.
        session_id: the client's session in it.

    Attributes:
        capabilities: what the gateway can do.
        llb_capabilities: what definitions may use; empty when the engine does not say.
    """

    def __init__(self, channel: Channel, build_id: str, session_id: str) -> None:
        self._channel = channel
        self._metadata = ((_BUILD_ID, build_id),)
        self.build_id = build_id
        self.session_id = session_id
        self.capabilities: frozenset[str] = _OLDEST
        self.llb_capabilities: frozenset[str] = frozenset()
        self.platforms: tuple[Platform, ...] = ()
        self._calls: list[Call[Message]] = []
        self._given_up = False

    def connect(self) -> None:
        """Wait until the engine has begun the build, and learn what it can do."""
        pong = self._call("Ping", pb.PingRequest(), pb.PongResponse)
        self.capabilities = _enabled(pong.FrontendAPICaps) or _OLDEST
        self.llb_capabilities = _enabled(pong.LLBCaps)
        self.platforms = tuple(_platform(item) for worker in pong.Workers for item in worker.platforms)

    def solve(
        self,
        definition: Definition | None = None,
        *,
        frontend: str = "",
        options: Mapping[str, str] | None = None,
        inputs: Mapping[str, Definition] | None = None,
        cache_imports: Iterable[tuple[str, Mapping[str, str]]] = (),
        evaluate: bool = True,
    ) -> pb.Result:
        """Solve a definition, or what a frontend of the engine makes of its options.

        Args:
            definition: what to solve; None with a frontend.
            frontend: such as `dockerfile.v0`.
            options: of the frontend.
            inputs: definitions that the frontend may use, by name.
            cache_imports: types and attributes of caches to look into.
            evaluate: wait until everything has run; otherwise only what is asked for later runs.

        Raises:
            SolveError: a step failed; `vertex` is the wire digest.
        """
        request = pb.SolveRequest(
            Definition=wire(definition) if definition is not None else None,
            Frontend=frontend,
            FrontendOpt=dict(options or {}),
            FrontendInputs={name: wire(value) for name, value in (inputs or {}).items()},
            allowResultReturn=True,
            allowResultArrayRef=True,
            Evaluate=evaluate and "gateway.solve.evaluate" in self.capabilities,
            CacheImports=[pb.CacheOptionsEntry(Type=kind, Attrs=dict(given)) for kind, given in cache_imports],
        )
        return self._call("Solve", request, pb.SolveResponse).result

    def resolve_image(self, reference: str, platform: Platform, *, mode: str = "", log_name: str = "") -> ImageMeta:
        """Look an image up as the engine would pull it.

        Args:
            reference: its name, with or without a digest.
            platform: which variant of it.
            mode: "pull" asks the registry, "local" does not unless it must; "" lets the engine decide.
            log_name: what progress shows.
        """
        if "source.metaresolver" in self.capabilities:
            source = WireSource(identifier=f"docker-image://{reference}")
            request = pb.ResolveSourceMetaRequest(
                Source=source, Platform=wire_platform(platform), LogName=log_name, ResolveMode=mode
            )
            meta = self._call("ResolveSourceMeta", request, pb.ResolveSourceMetaResponse)
            name = meta.Source.identifier.partition("://")[2] or reference
            return ImageMeta(reference=name, digest=meta.Image.Digest, config=meta.Image.Config)
        asked = pb.ResolveImageConfigRequest(
            Ref=reference, Platform=wire_platform(platform), ResolveMode=mode, LogName=log_name
        )
        found = self._call("ResolveImageConfig", asked, pb.ResolveImageConfigResponse)
        return ImageMeta(reference=found.Ref or reference, digest=found.Digest, config=found.Config)

    def resolve_layout(self, reference: str, platform: Platform, store: str, *, log_name: str = "") -> ImageMeta:
        """Look up an image in a layout that the client offers as `store`; `reference` has a digest."""
        asked = pb.ResolveImageConfigRequest(
            Ref=reference,
            Platform=wire_platform(platform),
            LogName=log_name,
            ResolverType=1,
            SessionID=self.session_id,
            StoreID=store,
        )
        found = self._call("ResolveImageConfig", asked, pb.ResolveImageConfigResponse)
        return ImageMeta(reference=found.Ref or reference, digest=found.Digest, config=found.Config)

    def read_file(self, ref: str, path: str, *, offset: int = 0, length: int = 0) -> bytes:
        """The bytes of a file of a result; `length` 0 is all of them. Raises RemoteError."""
        request = pb.ReadFileRequest(Ref=ref, FilePath=path)
        if offset or length:
            request.Range.Offset, request.Range.Length = offset, length
        return self._call("ReadFile", request, pb.ReadFileResponse).Data

    def read_directory(self, ref: str, path: str, pattern: str = "") -> list[Stat]:
        """What a directory of a result holds; only what `pattern` matches, when it is given. Raises RemoteError."""
        request = pb.ReadDirRequest(Ref=ref, DirPath=path, IncludePattern=pattern)
        return list(self._call("ReadDir", request, pb.ReadDirResponse).entries)

    def stat(self, ref: str, path: str) -> Stat:
        """Facts about a path of a result. Raises RemoteError when there is none."""
        return self._call("StatFile", pb.StatFileRequest(Ref=ref, Path=path), pb.StatFileResponse).stat

    def return_result(self, result: Result) -> None:
        """Hand over what shall be exported, which ends the gateway's part of the build."""
        made = pb.Result(metadata=dict(result.metadata))
        if set(result.refs) == {""}:
            if result.refs[""]:
                made.ref.id = result.refs[""]
            else:
                made.ref.SetInParent()
        else:
            for name, ref in result.refs.items():
                made.refs.refs[name].id = ref
        self._call("Return", pb.ReturnRequest(result=made), pb.ReturnResponse)

    def return_error(self, message: str) -> None:
        """Say that the build failed on the client's side."""
        request = pb.ReturnRequest()
        request.error.code, request.error.message = 2, message
        self._call("Return", request, pb.ReturnResponse)

    def give_up(self) -> None:
        """Cancel what goes on; whatever is called now or later fails."""
        self._given_up = True
        for call in list(self._calls):
            call.cancel()

    def _call(self, method: str, request: Message, answer: type[M]) -> M:
        call = self._channel.start(_SERVICE + method, request, answer, metadata=self._metadata)
        self._calls.append(call)  # type: ignore[arg-type]  # only ever cancelled
        if self._given_up:
            call.cancel()
        return call.result()


def wire(definition: Definition) -> WireDefinition:
    """A definition as a message."""
    return WireDefinition.FromString(definition.to_bytes())


def wire_platform(platform: Platform) -> WirePlatform:
    """A platform as a message."""
    return WirePlatform(OS=platform.os, Architecture=platform.architecture, Variant=platform.variant)


def _platform(message: WirePlatform) -> Platform:
    return Platform(message.OS, message.Architecture, message.Variant)


def _enabled(caps: Iterable[APICap]) -> frozenset[str]:
    return frozenset(cap.ID for cap in caps if cap.Enabled)


def refs_of(result: pb.Result) -> dict[str, str]:
    """The refs of a solved result, by platform id, or by "" when there is one."""
    match result.WhichOneof("result"):
        case "ref":
            return {"": result.ref.id}
        case "refs":
            return {name: ref.id for name, ref in result.refs.refs.items()}
        case "refDeprecated":
            return {"": result.refDeprecated}
        case "refsDeprecated":
            return dict(result.refsDeprecated.refs)
        case _:
            return {"": ""}
